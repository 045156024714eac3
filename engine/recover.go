package engine

import (
	"context"
	"errors"
	"fmt"
	"os"
	"slices"
	"time"

	"github.com/so8t/so8t/plugins"
	"github.com/so8t/so8t/plugins/host"
	"github.com/so8t/so8t/plugins/manifest"
	"github.com/so8t/so8t/state"
)

// recoverDead puts in order what engines left that ended without doing so: it sweeps what is left
// of their plugins, adopts attempts that had finished but for their commit, and calls the others,
// and the runs, interrupted. It also runs the hooks that are left of runs that have ended. A run that an engine holds is not touched.
func (e *Engine) recoverDead(ctx context.Context) error {
	dead, err := e.deadRuns(ctx)
	if err != nil {
		return err
	}
	for _, run := range dead {
		lock, err := state.LockRun(e.store.Dir(), run, state.Self(e.opts.Command, run))
		var held *state.HeldError
		if errors.As(err, &held) {
			continue // alive after all, or being recovered by another engine
		}
		if err != nil {
			return err
		}
		_, err = e.recoverRun(ctx, run, state.RunInterrupted)
		if errors.Is(err, state.ErrNoRun) {
			err = nil // a collection has removed it meanwhile
		}
		if releaseErr := lock.Release(); err == nil {
			err = releaseErr
		}
		if err != nil {
			return fmt.Errorf("recovering run %s: %w", run, err)
		}
	}
	return e.deliverLeft(ctx)
}

// deadRuns are recorded as running, but nobody holds them.
func (e *Engine) deadRuns(ctx context.Context) ([]string, error) {
	runs, err := e.runs(ctx)
	if err != nil {
		return nil, err
	}
	var dead []string
	for _, r := range runs {
		if r.State != state.RunRunning {
			continue
		}
		_, alive, err := state.Query(e.store.Dir(), r.ID)
		if err != nil {
			return nil, err
		}
		if !alive {
			dead = append(dead, r.ID)
		}
	}
	return dead, nil
}

// recoverRun takes over a run whose lock is held, in a new epoch, and leaves it in state to.
func (e *Engine) recoverRun(ctx context.Context, id string, to state.RunState) (state.Run, error) {
	var attempts, ended, all []state.Attempt
	err := e.store.View(ctx, func(tx *state.Tx) error {
		before, err := tx.Run(id)
		if err != nil {
			return err
		}
		all, err = tx.RunAttempts(id)
		for _, a := range all {
			switch {
			case a.Outcome == state.Running:
				attempts = append(attempts, a)
			case before.State == state.RunRunning && a.Process != nil:
				ended = append(ended, a)
			}
		}
		return err
	})
	if err != nil {
		return state.Run{}, err
	}
	if _, err := host.Sweep(lastProcesses(ended)); err != nil {
		return state.Run{}, fmt.Errorf("sweeping what ended stages left: %w", err)
	}
	found := make([]remains, len(attempts))
	for i, a := range attempts {
		if found[i], err = e.examine(ctx, a); err != nil {
			return state.Run{}, err
		}
	}
	var run state.Run
	err = e.store.Update(ctx, func(tx *state.Tx) error {
		var err error
		if run, err = tx.TakeOver(id); err != nil {
			return err
		}
		for _, f := range found {
			if err := e.settle(tx, run, f, to); err != nil {
				return err
			}
		}
		if run.State = to; to != state.RunRunning {
			run.Ended = e.now()
			return tx.PutRun(run)
		}
		return nil
	})
	for _, a := range all { // who was killed could not; what stays does no harm
		_ = state.RemoveLock(e.store.Dir(), a.Fingerprint)
	}
	return run, err
}

// maxLingering bounds how many plugins are taken to have been ending when their engine was killed.
const maxLingering = 8

// lastProcesses are the plugins of the attempts that ended last: an attempt is committed while its
// plugin ends, and an engine that is killed then does not see to it that nothing of it is left.
func lastProcesses(ended []state.Attempt) []host.Record {
	slices.SortFunc(ended, func(a, b state.Attempt) int { return b.Ended.Compare(a.Ended) })
	var records []host.Record
	for _, a := range ended[:min(len(ended), maxLingering)] {
		records = append(records, hostRecord(*a.Process))
	}
	return records
}

// remains are what a dead engine left of one attempt.
type remains struct {
	attempt state.Attempt
	// manifest and result are there when the stage had finished.
	manifest *manifest.Manifest
	result   savedResult
}

// examine sweeps the processes of an attempt and looks at its folder.
func (e *Engine) examine(ctx context.Context, a state.Attempt) (remains, error) {
	r := remains{attempt: a}
	if a.Process != nil {
		killed, err := host.Sweep([]host.Record{hostRecord(*a.Process)})
		if err != nil {
			return r, fmt.Errorf("sweeping what stage %q left: %w", a.Instance, err)
		}
		for _, k := range killed {
			r.attempt.Leftovers = append(r.attempt.Leftovers, processRecord(k))
		}
	}
	f := attemptDir(e.store.Dir(), a.Run, a.Instance, a.Number)
	var err error
	if r.attempt.Checkpoints, err = e.findCheckpoints(f, a.Checkpoints); err != nil {
		return r, err
	}
	if err := os.RemoveAll(f.scratch()); err != nil {
		return r, err
	}
	result, whole := readResult(f.result())
	if !whole || result.Fingerprint != a.Fingerprint {
		return r, nil
	}
	if m, err := manifest.VerifyOutputs(f.out(), manifest.Contents); err == nil {
		r.manifest, r.result = m, result
	}
	return r, nil
}

// settle stores how a dead attempt ended. Its stage is pending when the run goes on.
func (e *Engine) settle(tx *state.Tx, run state.Run, f remains, to state.RunState) error {
	a := f.attempt
	a.Epoch, a.Ended = run.Epoch, e.now()
	stage, err := tx.Stage(a.Run, a.Instance)
	if err != nil {
		return err
	}
	stage.Epoch, stage.Ended, stage.Outcome = run.Epoch, e.now(), state.Interrupted
	if f.manifest == nil {
		a.Outcome = state.Interrupted
		a.Error = &state.ErrorRecord{Code: string(plugins.Crashed), Message: "the engine ended while the stage ran"}
		if stage.Error = a.Error; to == state.RunRunning {
			stage.Outcome, stage.Ended, stage.Error = state.Pending, time.Time{}, nil
		}
		if err := tx.PutAttempt(a); err != nil {
			return err
		}
		return tx.PutStage(stage)
	}
	a.Outcome, stage.Outcome = state.Succeeded, state.Succeeded
	folder := attemptDir(e.store.Dir(), a.Run, a.Instance, a.Number)
	if stage.Outputs, err = e.outputRecords(folder, f.manifest); err != nil {
		return err
	}
	stage.Metrics = f.result.Metrics
	outputs := stage.Outputs
	if f.result.Refused != "" {
		a.Error = gateError(f.result.Refused)
		if stage.Outcome, stage.Error, stage.Outputs = state.Failed, a.Error, nil; to == state.RunRunning {
			stage.Outcome, stage.Ended, stage.Error = state.Pending, time.Time{}, nil
		}
	}
	if err := tx.PutAttempt(a); err != nil {
		return err
	}
	if err := tx.PutStage(stage); err != nil {
		return err
	}
	if err := tx.PutCache(state.CacheEntry{
		Fingerprint: a.Fingerprint, Run: a.Run, Epoch: run.Epoch, Instance: a.Instance, Attempt: a.Number,
		Outputs: outputs, Metrics: stage.Metrics, Parts: f.result.Parts, Time: a.Ended,
	}); err != nil {
		return err
	}
	return tx.PutLatestParts(state.LatestParts{
		Workflow: run.Workflow, Instance: a.Instance, Run: a.Run, Epoch: run.Epoch, Fingerprint: a.Fingerprint, Parts: f.result.Parts,
	})
}
