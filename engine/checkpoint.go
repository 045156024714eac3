package engine

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"

	"github.com/so8t/so8t/plugins"
	"github.com/so8t/so8t/plugins/manifest"
	"github.com/so8t/so8t/state"
)

// saved takes in a checkpoint that the stage has published: it is committed with the attempt, and
// all but the newest few are removed, after the commit that no longer names them.
func (a *attempt) saved(ctx context.Context, c plugins.Checkpoint) error {
	path := c.Path
	if !filepath.IsAbs(path) {
		path = filepath.Join(a.folder.checkpoints(), path)
	}
	rel, err := filepath.Rel(a.folder.checkpoints(), path)
	if err != nil || !filepath.IsLocal(rel) {
		return fmt.Errorf("its folder %q is not below the attempt's checkpoints", c.Path)
	}
	if err := a.freshCheckpoint(ctx, path); err != nil {
		return err
	}
	if err := a.nameDurably(); err != nil {
		return err
	}
	inState, err := a.r.e.stateRelative(path)
	if err != nil {
		return err
	}
	list := slices.DeleteFunc(slices.Clone(a.record.Checkpoints), func(k state.CheckpointRecord) bool { return k.Path == inState })
	list = append(list, state.CheckpointRecord{Step: c.Step, Path: inState, Time: a.r.e.now()})
	var old []state.CheckpointRecord
	if extra := len(list) - a.n.keep(); extra > 0 {
		old, list = list[:extra], list[extra:]
	}
	a.record.Checkpoints = list
	event := Event{Kind: Saved, Stage: a.n.stage, Instance: a.n.instance, Attempt: a.number, Step: c.Step, Path: a.r.e.relative(path)}
	err = a.r.update(ctx, func(tx *state.Tx) error {
		if err := tx.PutAttempt(a.record); err != nil {
			return err
		}
		return a.r.event(tx, event)
	})
	if err != nil {
		return err
	}
	a.r.emit(event)
	for _, k := range old {
		if err := os.RemoveAll(a.r.e.inState(k.Path)); err != nil {
			a.warn(fmt.Sprintf("removing an old checkpoint: %v", err))
		}
	}
	return nil
}

// chooseCheckpoint looks for a checkpoint of the same fingerprint, of whatever run: its lock is
// ours, so nobody is at work on it. The newest that verifies is used, else the one before.
func (a *attempt) chooseCheckpoint(ctx context.Context) error {
	if !a.n.plugin.description.Checkpoints {
		return nil
	}
	var unfinished, fruitless []state.Attempt
	err := a.r.e.store.View(ctx, func(tx *state.Tx) error {
		var err error
		if unfinished, err = tx.Unfinished(a.identity.fingerprint); err != nil || len(unfinished) == 0 {
			return err
		}
		fruitless, err = attemptsWithoutCheckpoint(tx, a.n.instance, a.identity.fingerprint)
		return err
	})
	if err != nil {
		return err
	}
	if a.forced { // a retry, or a resume, goes on from what this run made, not from what it was told to ignore
		unfinished = slices.DeleteFunc(unfinished, func(b state.Attempt) bool { return b.Run != a.r.id })
	}
	for _, c := range candidates(append(unfinished, fruitless...)) {
		path := a.r.e.inState(c.path)
		if _, err := manifest.VerifyFolder(path, manifest.Contents); err != nil {
			a.warn(fmt.Sprintf("checkpoint at step %d is passed over: %v", c.step, err))
			continue
		}
		a.resume = &plugins.Checkpoint{Step: c.step, Path: path, Run: c.run, Attempt: c.attempt}
		a.record.ResumedFrom = &state.ResumePoint{Run: c.run, Attempt: c.attempt, Step: c.step}
		return nil
	}
	return nil
}

// recentRuns bounds how far back attempts that came to nothing are looked for.
const recentRuns = 50

// attemptsWithoutCheckpoint are those of a fingerprint that Unfinished does not know.
func attemptsWithoutCheckpoint(tx *state.Tx, instance, fingerprint string) ([]state.Attempt, error) {
	runs, err := tx.Runs()
	if err != nil {
		return nil, err
	}
	var out []state.Attempt
	for _, run := range runs[:min(len(runs), recentRuns)] {
		attempts, err := tx.Attempts(run.ID, instance)
		if err != nil {
			return nil, err
		}
		for _, a := range attempts {
			if a.Fingerprint == fingerprint && len(a.Checkpoints) == 0 {
				out = append(out, a)
			}
		}
	}
	return out, nil
}

// candidate is a checkpoint that could be gone on from.
type candidate struct {
	run     string
	attempt int
	step    int64
	path    string // relative to the state folder
}

// maxVain is how many attempts may start from a checkpoint without getting to another before
// the one in front of it is used.
const maxVain = 2

// candidates orders the checkpoints of unfinished attempts, the one to use first. One that led to
// nothing twice is left out: going on from it may be what fails.
func candidates(unfinished []state.Attempt) []candidate {
	var all []candidate
	vain := map[int64]int{} // attempts without progress, by the step they went on from
	for _, a := range unfinished {
		for _, c := range a.Checkpoints {
			all = append(all, candidate{a.Run, a.Number, c.Step, c.Path})
		}
		if stuck(a) {
			vain[a.ResumedFrom.Step]++
		}
	}
	all = slices.DeleteFunc(all, func(c candidate) bool { return vain[c.step] >= maxVain })
	// Later attempts come first in unfinished; of equal steps theirs are preferred.
	slices.SortStableFunc(all, func(a, b candidate) int { return cmp.Compare(b.step, a.step) })
	return all
}

// stuck reports whether an attempt went on from a checkpoint and failed before it made a later one.
func stuck(a state.Attempt) bool {
	if a.ResumedFrom == nil || a.Error == nil || a.Error.Code == string(plugins.Cancelled) {
		return false
	}
	return !slices.ContainsFunc(a.Checkpoints, func(c state.CheckpointRecord) bool { return c.Step > a.ResumedFrom.Step })
}

// findCheckpoints lists the checkpoints in an attempt's folder whose manifest verifies, by step:
// those that were published but not committed when the engine ended.
func (e *Engine) findCheckpoints(f attemptFolder, known []state.CheckpointRecord) ([]state.CheckpointRecord, error) {
	entries, err := os.ReadDir(f.checkpoints())
	if errors.Is(err, fs.ErrNotExist) {
		return known, nil
	}
	if err != nil {
		return nil, err
	}
	list := slices.Clone(known)
	for _, entry := range entries {
		path := filepath.Join(f.checkpoints(), entry.Name())
		rel, err := e.stateRelative(path)
		if err != nil {
			return nil, err
		}
		if slices.ContainsFunc(list, func(c state.CheckpointRecord) bool { return c.Path == rel }) {
			continue
		}
		step, ok := stepOf(entry.Name())
		if !ok || !entry.IsDir() {
			continue
		}
		if _, err := manifest.VerifyFolder(path, manifest.Sizes); err != nil {
			continue // it was being written
		}
		list = append(list, state.CheckpointRecord{Step: step, Path: rel, Time: e.now()})
	}
	slices.SortStableFunc(list, func(a, b state.CheckpointRecord) int { return cmp.Compare(a.Step, b.Step) })
	return list, nil
}

// checkpointPrefix begins the name of a checkpoint's folder, before its step: as the sdk names it.
const checkpointPrefix = "step-"

func stepOf(name string) (int64, bool) {
	digits, ok := strings.CutPrefix(name, checkpointPrefix)
	if !ok {
		return 0, false
	}
	step, err := strconv.ParseInt(digits, 10, 64)
	return step, err == nil && step >= 0
}
