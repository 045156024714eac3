package engine

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"strings"

	"github.com/so8t/so8t/plugins"
	"github.com/so8t/so8t/plugins/manifest"
	"github.com/so8t/so8t/state"
)

// A run whose records are lost, and its journal too, still has its attempts' folders. What has a
// manifest that verifies was done, and result.json says what work it is: as that it is offered for reuse
// again. When it ran and why, what did not get through, the workflow and its parameters are lost.

// salvageNote tells such a run from others.
const salvageNote = "made from its files by a repair: its own records were lost"

// salvage makes records of the runs of which only the files are left, and says what of each.
func (e *Engine) salvage(ctx context.Context, findings []state.Finding) ([]string, error) {
	var done []string
	for _, f := range findings {
		if f.Repair != state.RepairSalvage {
			continue
		}
		text, err := e.salvageRun(ctx, filepath.Base(f.Path))
		if err != nil {
			return done, fmt.Errorf("salvaging %s: %w", f.Path, err)
		}
		done = append(done, text)
	}
	return done, nil
}

func (e *Engine) salvageRun(ctx context.Context, id string) (string, error) {
	lock, err := state.LockRun(e.store.Dir(), id, state.Self(e.opts.Command, id))
	if err != nil {
		return "", err
	}
	defer lock.Release() // the lock dies with the process anyway
	r := state.RunRecords{
		Run:  state.Run{ID: id, State: state.RunCancelled, Epoch: 1, Note: salvageNote, Started: state.RunTime(id)},
		Plan: state.RunPlan{Run: id},
	}
	r.Run.Ended = r.Run.Started
	folders, err := filepath.Glob(filepath.Join(state.RunDir(e.store.Dir(), id), "stages", "*"))
	if err != nil {
		return "", err
	}
	var unnamed []string
	for _, folder := range folders {
		instance, ok := state.InstanceOf(filepath.Base(folder))
		if !ok {
			unnamed = append(unnamed, filepath.Base(folder))
			continue
		}
		if err := e.salvageStage(&r, id, instance); err != nil {
			return "", err
		}
	}
	if err := e.store.Restore(ctx, r); err != nil {
		return "", err
	}
	text := fmt.Sprintf("made records of run %s from its files: %d of its stages, the work of %d can be reused; lost are its workflow, its parameters, its reasons and its times",
		id, len(r.Stages), len(r.Cache))
	if len(unnamed) > 0 {
		text += "; what lies in " + strings.Join(unnamed, ", ") + " cannot be told"
	}
	return text, nil
}

// salvageStage adds an instance with what its attempts have left.
func (e *Engine) salvageStage(r *state.RunRecords, id, instance string) error {
	s := state.StageRecord{Run: id, Instance: instance, Epoch: 1, Outcome: state.Interrupted, Reason: salvageNote}
	s.Stage, _, _ = strings.Cut(instance, "[")
	entries, err := os.ReadDir(state.StageDir(e.store.Dir(), id, instance))
	if err != nil {
		return err
	}
	for _, entry := range entries {
		if n, err := strconv.Atoi(entry.Name()); err == nil && entry.IsDir() {
			s.Attempts = max(s.Attempts, n)
		}
	}
	for n := 1; n <= s.Attempts; n++ {
		a := state.Attempt{Run: id, Instance: instance, Number: n, Epoch: 1, Outcome: state.Interrupted, Started: r.Run.Started, Ended: r.Run.Started,
			Error: &state.ErrorRecord{Code: string(plugins.Crashed), Message: "how it ended was lost"}}
		f := attemptDir(e.store.Dir(), id, instance, n)
		m, err := manifest.VerifyOutputs(f.out(), manifest.Contents)
		if err == nil {
			a.Outcome, a.Error = state.Succeeded, nil
			if err := e.salvageAttempt(r, &s, &a, f, m); err != nil {
				return err
			}
		}
		r.Attempts = append(r.Attempts, a)
	}
	r.Plan.Order = append(r.Plan.Order, instance)
	r.Stages = append(r.Stages, s)
	return nil
}

// salvageAttempt takes in an attempt whose outputs are whole. Without its result nobody knows what work
// they are: they can be looked at, not reused.
func (e *Engine) salvageAttempt(r *state.RunRecords, s *state.StageRecord, a *state.Attempt, f attemptFolder, m *manifest.Manifest) error {
	outputs, err := e.outputRecords(f, m)
	if err != nil {
		return err
	}
	if info, err := os.Stat(f.result()); err == nil {
		a.Started, a.Ended = info.ModTime(), info.ModTime()
	}
	s.Outcome, s.Outputs, s.Error = state.Succeeded, outputs, nil
	result, whole := readResult(f.result())
	if !whole {
		return nil
	}
	a.Fingerprint, s.Fingerprint, s.Metrics = result.Fingerprint, result.Fingerprint, result.Metrics
	if result.Refused != "" {
		a.Error = gateError(result.Refused)
		s.Outcome, s.Outputs, s.Error = state.Failed, nil, a.Error
	}
	r.Cache = append(r.Cache, state.CacheEntry{Fingerprint: result.Fingerprint, Run: a.Run, Epoch: 1, Instance: a.Instance, Attempt: a.Number,
		Outputs: outputs, Metrics: result.Metrics, Parts: result.Parts, Time: a.Ended})
	return nil
}

// RepairState mends what CheckState found, and says what it did.
func (e *Engine) RepairState(ctx context.Context, findings []state.Finding) ([]string, error) {
	done, err := e.store.Repair(ctx, findings)
	if err != nil {
		return done, err
	}
	salvaged, err := e.salvage(ctx, findings)
	return append(done, salvaged...), errors.Join(err, ctx.Err())
}
