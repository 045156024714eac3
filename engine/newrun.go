package engine

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/so8t/so8t/state"
)

// lockNew chooses the id of a new run and takes its lock. The id sorts after all that are there,
// also when the clock was set back.
func (e *Engine) lockNew(ctx context.Context, now time.Time) (string, *state.RunLock, error) {
	newest, err := e.FindRun(ctx, "")
	if err != nil && !errors.Is(err, state.ErrNoRun) {
		return "", nil, err
	}
	for {
		id := state.NewRunIDAfter(newest, now)
		lock, err := state.LockRun(e.store.Dir(), id, state.Self(e.opts.Command, id))
		var held *state.HeldError
		if errors.As(err, &held) {
			continue // a collection takes the folder of a run that is not yet there for a leftover
		}
		return id, lock, err
	}
}

// maxReplans bounds how often a run is planned anew because a collection removed what it was to
// reuse.
const maxReplans = 3

// stored is a run of a plan that is ready, after store has made it durable: create for a new one,
// reopen for one that goes on. What the plan reuses is committed with it, and is from then on left
// alone by collections; when one was faster, it is planned anew.
func (e *Engine) stored(ctx context.Context, plan *Plan, record state.Run, control *Control, store func(*run, context.Context) error) (*run, error) {
	for replans := 0; ; replans++ {
		if err := plan.ready(); err != nil {
			return nil, err
		}
		r := e.newRun(plan, control)
		r.id, r.epoch, r.record = record.ID, record.Epoch, record
		err := store(r, ctx)
		if err == nil {
			return r, nil
		}
		r.ahead.close()
		if !errors.Is(err, state.ErrCollected) || replans == maxReplans {
			return nil, fmt.Errorf("storing run %s: %w", record.ID, err)
		}
		anew, err := e.plan(ctx, plan.Workflow, plan.nodes, plan.selection, plan.pinned)
		if err != nil {
			return nil, err
		}
		anew.rerun = plan.rerun
		plan = anew
	}
}
