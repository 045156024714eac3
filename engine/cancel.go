package engine

import (
	"context"
	"fmt"
	"time"

	"github.com/so8t/so8t/state"
)

// cancelEvery is how often an engine looks whether it is asked to end its run.
const cancelEvery = 200 * time.Millisecond

// heedCancel interrupts the run when another process asks for its end, until release is called.
func (r *run) heedCancel() (release func()) {
	dir := r.e.store.Dir()
	over := make(chan struct{})
	ended := make(chan struct{})
	go func() {
		defer close(ended)
		tick := time.NewTicker(cancelEvery)
		defer tick.Stop()
		for {
			select {
			case <-over:
				return
			case <-tick.C:
			}
			if state.CancelRequested(dir, r.id, r.epoch) {
				r.control.Interrupt(CANCEL)
				return
			}
		}
	}()
	return func() {
		close(over)
		<-ended
		if err := state.WithdrawCancel(dir, r.id); err != nil {
			r.emit(Event{Kind: Warned, Message: fmt.Sprintf("removing the request to cancel: %v", err)})
		}
	}
}

// Cancel asks the engine that holds a run to stop its stages gracefully and end it as cancelled,
// and waits for that until ctx ends. name is a unique part of an id, or "" for the newest run that an
// engine holds. It returns the run and how it ended: it may have been faster.
func (e *Engine) Cancel(ctx context.Context, name string) (id, ended string, err error) {
	if id, err = e.toCancel(ctx, name); err != nil {
		return "", "", err
	}
	r, err := e.recordedRun(ctx, id)
	if err != nil {
		return id, "", err
	}
	if !r.alive {
		return id, "", &SelectionError{Message: fmt.Sprintf("run %s is not running, it is %s", id, r.state())}
	}
	if err := state.RequestCancel(e.store.Dir(), id, r.run.Epoch); err != nil {
		return id, "", err
	}
	if err := e.awaitEnd(ctx, id); err != nil {
		return id, "", err
	}
	if r, err = e.recordedRun(context.WithoutCancel(ctx), id); err != nil {
		return id, "", err
	}
	return id, r.state(), nil
}

// toCancel finds the run that is meant.
func (e *Engine) toCancel(ctx context.Context, name string) (string, error) {
	if name != "" && name != "latest" {
		return e.FindRun(ctx, name)
	}
	runs, err := e.runs(ctx)
	if err != nil {
		return "", err
	}
	for _, r := range runs {
		if _, alive, err := state.Query(e.store.Dir(), r.ID); err != nil || alive {
			return r.ID, err
		}
	}
	return "", &SelectionError{Message: "no run is running"}
}

// awaitEnd waits until no engine holds the run.
func (e *Engine) awaitEnd(ctx context.Context, id string) error {
	tick := time.NewTicker(cancelEvery / 2)
	defer tick.Stop()
	for {
		holder, alive, err := state.Query(e.store.Dir(), id)
		if err != nil || !alive {
			return err
		}
		select {
		case <-ctx.Done():
			return fmt.Errorf("it was asked to end and has not yet; on %s, 'kill -CONT %d' wakes a stopped one, 'kill -9 %d' ends it: %w",
				holder.Host, holder.PID, holder.PID, &RunHeldError{Run: id, PID: holder.PID, Host: holder.Host})
		case <-tick.C:
		}
	}
}
