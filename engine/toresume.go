package engine

import (
	"cmp"
	"context"
	"fmt"

	"github.com/so8t/so8t/state"
)

// toResume finds the run that is meant. A running one that nobody holds was interrupted.
func (e *Engine) toResume(ctx context.Context, name string) (string, error) {
	named := name != "" && name != "latest"
	var id string
	var runs []state.Run
	err := e.store.View(ctx, func(tx *state.Tx) error {
		if named {
			found, err := tx.FindRun(name)
			if err != nil {
				return err
			}
			run, err := tx.Run(found)
			runs = []state.Run{run}
			return err
		}
		var err error
		runs, err = tx.Runs()
		return err
	})
	if err != nil {
		return "", err
	}
	cancelled := "" // the newest that is passed over
	for _, r := range runs {
		// Who cancelled a run wants no more of it, unless it is named.
		if r.State == state.RunCancelled && !named {
			cancelled = cmp.Or(cancelled, r.ID)
			continue
		}
		if r.State == state.RunSucceeded {
			continue
		}
		holder, alive, err := state.Query(e.store.Dir(), r.ID)
		if err != nil {
			return "", err
		}
		if !alive {
			id = r.ID
			break
		}
		if named || len(runs) == 1 {
			return "", &RunHeldError{Run: r.ID, PID: holder.PID, Host: holder.Host}
		}
	}
	switch {
	case id == "" && cancelled == "":
		return "", ErrNothingToResume
	case id == "":
		return "", fmt.Errorf("%w: run %s was cancelled; so8t resume %s goes on with it all the same", ErrNothingToResume, cancelled, cancelled)
	case cancelled != "":
		e.opts.Listener(Event{Kind: Warned, Run: id, Time: e.now(),
			Message: fmt.Sprintf("run %s is newer and was cancelled: so8t resume %s goes on with that one", cancelled, cancelled)})
	}
	return id, nil
}
