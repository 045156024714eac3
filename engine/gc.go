package engine

import (
	"context"
	"fmt"

	"github.com/so8t/so8t/plugins/host"
	"github.com/so8t/so8t/state"
)

// GCView is what a collection removed, or would: `gc --json`.
type GCView struct {
	Removed []RemovedView `json:"removed"`
	Bytes   int64         `json:"bytes"`
	// Failed says what outside of the project could not be removed now, and why.
	Failed []string `json:"failed,omitempty"`
}

// RemovedView is one file or folder.
type RemovedView struct {
	Path  string `json:"path"`
	Bytes int64  `json:"bytes"`
	Why   string `json:"why"`
}

// GC removes runs by policy and what nothing can use any more. What dead engines left is put in
// order first, so that finished work that was not committed is not taken for a leftover. KeepRuns
// of the policy may be parts of ids.
func (e *Engine) GC(ctx context.Context, policy state.GCPolicy) (*GCView, error) {
	for i, name := range policy.KeepRuns {
		id, err := e.FindRun(ctx, name)
		if err != nil {
			return nil, err
		}
		policy.KeepRuns[i] = id
	}
	if !policy.DryRun {
		if err := e.recoverDead(ctx); err != nil {
			return nil, err
		}
		host.SweepSockets()
		if err := e.rememberOutside(); err != nil {
			return nil, err
		}
	}
	policy.Now = e.now()
	removed, err := e.store.Collect(ctx, policy)
	if err != nil {
		return nil, err
	}
	view := &GCView{Removed: []RemovedView{}}
	var paths []string
	for _, r := range removed {
		paths = append(paths, r.Path)
		view.Removed = append(view.Removed, RemovedView{Path: e.relative(e.inState(r.Path)), Bytes: r.Bytes, Why: r.Why})
		view.Bytes += r.Bytes
	}
	return view, e.releaseOutside(ctx, view, paths, policy.DryRun)
}

// Pin keeps a run from being removed by any collection, or no longer does. A run that an engine
// holds is its engine's to change.
func (e *Engine) Pin(ctx context.Context, id string, pinned bool) error {
	lock, err := state.LockRun(e.store.Dir(), id, state.Self(e.opts.Command, id))
	if err != nil {
		return held(id, err)
	}
	defer lock.Release()
	err = e.store.Update(ctx, func(tx *state.Tx) error { return tx.PinRun(id, pinned) })
	if err != nil {
		return fmt.Errorf("pinning run %s: %w", id, err)
	}
	return nil
}
