package state

import (
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"
)

// CreateRun stores a new run, which is running in epoch 1, and its plan.
func (t *Tx) CreateRun(run Run, plan RunPlan) error {
	if plan.Run != run.ID {
		return fmt.Errorf("plan of run %q does not belong to run %q", plan.Run, run.ID)
	}
	if FolderName(run.ID) != run.ID || run.ID == "latest" {
		return fmt.Errorf("%q cannot be the id of a run", run.ID)
	}
	if _, err := t.Run(run.ID); err == nil {
		return transitionError("run "+run.ID, "(existing)", "(new)")
	} else if !errors.Is(err, ErrNoRun) {
		return err
	}
	if run.State != RunRunning || run.Epoch != 1 {
		return transitionError("run "+run.ID, "", fmt.Sprintf("%s in epoch %d", run.State, run.Epoch))
	}
	if err := t.putPlan(plan); err != nil {
		return err
	}
	return t.putRun(run)
}

// Run returns a run by its whole id; ErrNoRun when there is none.
func (t *Tx) Run(id string) (Run, error) {
	var r Run
	key, err := textKey(id)
	if err != nil {
		return r, fmt.Errorf("run %q: %w", id, ErrNoRun)
	}
	found, err := t.get(bucketRuns, key, &r)
	if err == nil && !found {
		err = fmt.Errorf("run %q: %w", id, ErrNoRun)
	}
	return r, err
}

// RunPlan returns what the run was asked to do.
func (t *Tx) RunPlan(id string) (RunPlan, error) {
	var p RunPlan
	key, err := textKey(id)
	if err != nil {
		return p, fmt.Errorf("plan of run %q: %w", id, ErrNoRun)
	}
	found, err := t.get(bucketPlans, key, &p)
	if err == nil && !found {
		err = fmt.Errorf("plan of run %q: %w", id, ErrNoRun)
	}
	return p, err
}

// PutRun changes a run within its epoch.
func (t *Tx) PutRun(run Run) error {
	old, err := t.Run(run.ID)
	if err != nil {
		return err
	}
	if err := fence("run "+run.ID, run.Epoch, old.Epoch); err != nil {
		return err
	}
	if !slices.Contains(runTransitions[old.State], run.State) {
		return transitionError("run "+run.ID, old.State, run.State)
	}
	return t.putRun(run)
}

// PinRun keeps a run from being removed by any collection, or no longer does. The caller holds the
// run's lock.
func (t *Tx) PinRun(id string, pinned bool) error {
	run, err := t.Run(id)
	if err != nil || run.Pinned == pinned {
		return err
	}
	run.Pinned = pinned
	return t.putRun(run)
}

// TakeOver makes the run running again in a new epoch, after which writes of any
// earlier engine are refused. The caller holds the run's lock.
func (t *Tx) TakeOver(id string) (Run, error) {
	run, err := t.Run(id)
	if err != nil {
		return run, err
	}
	if !slices.Contains(runTakeOver, run.State) {
		return run, transitionError("run "+id, run.State, RunRunning)
	}
	run.Epoch++
	run.State = RunRunning
	run.Ended, run.HooksDue, run.Stages = time.Time{}, false, nil
	return run, t.putRun(run)
}

// HooksDone says that what was to be done after the end of a run was done.
func (t *Tx) HooksDone(id string, epoch int64) error {
	run, err := t.Run(id)
	if err != nil {
		return err
	}
	if err := fence("run "+id, epoch, run.Epoch); err != nil || !run.HooksDue {
		return err
	}
	run.HooksDue = false
	return t.putRun(run)
}

// Runs returns all runs, newest first.
func (t *Tx) Runs() ([]Run, error) {
	var runs []Run
	err := t.scan(bucketRuns, nil, func(k, v []byte) error {
		var r Run
		if err := t.decode(bucketRuns, k, v, &r); err != nil {
			return err
		}
		runs = append(runs, r)
		return nil
	})
	slices.Reverse(runs)
	return runs, err
}

// FindRun completes a run's id: "latest" (or "") is the newest, else a unique beginning
// or, when nothing begins so, a unique end.
func (t *Tx) FindRun(text string) (string, error) {
	var ids []string
	err := t.scan(bucketRuns, nil, func(k, _ []byte) error {
		ids = append(ids, string(k))
		return nil
	})
	if err != nil {
		return "", err
	}
	slices.Reverse(ids)
	if text == "" || text == "latest" {
		if len(ids) == 0 {
			return "", noRunYet{}
		}
		return ids[0], nil
	}
	if slices.Contains(ids, text) {
		return text, nil
	}
	for _, fits := range []func(s, part string) bool{strings.HasPrefix, strings.HasSuffix} {
		var hits []string
		for _, id := range ids {
			if fits(id, text) {
				hits = append(hits, id)
			}
		}
		switch len(hits) {
		case 0:
		case 1:
			return hits[0], nil
		default:
			return "", &AmbiguousError{Prefix: text, Candidates: hits}
		}
	}
	return "", fmt.Errorf("run %q: %w", text, ErrNoRun)
}

func (t *Tx) putRun(run Run) error {
	key, err := textKey(run.ID)
	if err != nil {
		return err
	}
	return t.putLogged(bucketRuns, key, run, run.ID, kindRun, "run "+string(run.State))
}

func (t *Tx) putPlan(plan RunPlan) error {
	key, err := textKey(plan.Run)
	if err != nil {
		return err
	}
	return t.putLogged(bucketPlans, key, plan, plan.Run, kindPlan, "plan")
}

// fence refuses a write of an engine that is not the run's newest.
func fence(what string, epoch, current int64) error {
	switch {
	case epoch < current:
		return fmt.Errorf("%s: write of epoch %d, now %d: %w", what, epoch, current, ErrFenced)
	case epoch > current:
		return fmt.Errorf("%s: write of epoch %d, which has not begun (now %d): %w", what, epoch, current, ErrFenced)
	}
	return nil
}

// fenceRun is fence against the run's own record.
func (t *Tx) fenceRun(run, what string, epoch int64) error {
	r, err := t.Run(run)
	if err != nil {
		return fmt.Errorf("%s: %w", what, err)
	}
	return fence(what, epoch, r.Epoch)
}
