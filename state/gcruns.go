package state

import (
	"context"
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"
)

// runs removes the runs that the policy lets go, and the checkpoints of work that is done.
func (c *collection) runs(ctx context.Context) error {
	err := c.s.View(ctx, func(t *Tx) (err error) {
		c.records, err = readAll(t)
		return err
	})
	if err != nil {
		return err
	}
	if len(c.records.damaged) > 0 {
		return &DamagedError{Path: c.s.databasePath(), Reason: c.records.damaged[0]}
	}
	list, err := c.gcRuns()
	if err != nil {
		return err
	}
	gone, err := c.lockable(list)
	if err != nil {
		return err
	}
	done, err := c.doneCheckpoints(gone)
	if err != nil {
		return err
	}
	if !c.policy.DryRun {
		if err := c.unlink(ctx, list, gone, done); err != nil {
			return err
		}
	}
	for _, r := range list {
		if id := r.run.ID; gone[id] {
			c.releaseOnWindows(id)
			if err := c.trash(RunDir(c.s.dir, id), "run "+string(r.run.State)); err != nil {
				return err
			}
		}
	}
	return nil
}

// gcRuns describes all runs for the policy, newest first.
func (c *collection) gcRuns() ([]gcRun, error) {
	refs := map[string]map[string]bool{}
	for _, s := range c.records.stages {
		for _, id := range s.references() {
			addTo(refs, s.Run, id)
		}
	}
	for _, a := range c.records.attempts {
		if a.ResumedFrom != nil && a.ResumedFrom.Run != a.Run {
			addTo(refs, a.Run, a.ResumedFrom.Run)
		}
	}
	var list []gcRun
	for _, r := range c.records.runs {
		_, alive, err := Query(c.s.dir, r.ID)
		if err != nil {
			return nil, err
		}
		g := gcRun{run: r, held: alive, refs: refs[r.ID]}
		if c.policy.MaxSize > 0 {
			g.bytes = sizeOf(RunDir(c.s.dir, r.ID))
		}
		list = append(list, g)
	}
	slices.Reverse(list)
	return list, nil
}

func addTo(sets map[string]map[string]bool, key, value string) {
	if sets[key] == nil {
		sets[key] = map[string]bool{}
	}
	sets[key][value] = true
}

// lockable are the runs that the policy lets go and that nobody is at work on or about to
// continue: their locks, and those of their checkpoints' fingerprints, are ours.
func (c *collection) lockable(list []gcRun) (map[string]bool, error) {
	gone := c.policy.choose(list)
	for i, r := range list {
		if !gone[r.run.ID] {
			continue
		}
		free, err := c.lockRun(r.run.ID)
		if err != nil {
			return nil, err
		}
		for _, a := range c.records.attemptsOf(r.run.ID) {
			if free && len(a.Checkpoints) > 0 {
				free, err = c.lockFingerprint(a.Fingerprint)
			}
			if err != nil {
				return nil, err
			}
		}
		if !free {
			delete(gone, r.run.ID)
			list[i].held = true
		}
	}
	spare(list, gone)
	return gone, nil
}

// doneCheckpoints hides the checkpoints of attempts whose work is done, so that nothing will
// ever go on from them, and returns those attempts. They are hidden before the record forgets
// them: a recorded checkpoint that is missing is no damage.
func (c *collection) doneCheckpoints(gone map[string]bool) ([]Attempt, error) {
	cached := map[string]bool{}
	for _, e := range c.records.cache {
		cached[e.Fingerprint] = true
	}
	forces := map[string]bool{}
	for _, p := range c.records.plans {
		forces[p.Run] = slices.ContainsFunc(p.Selectors, func(s string) bool { return strings.HasPrefix(s, "force") })
	}
	var done []Attempt
	for _, a := range c.records.attempts {
		// A run that was told to do again what is done goes on from its own checkpoints.
		useless := a.Outcome == Succeeded || a.Outcome == Skipped || a.Outcome != Running && cached[a.Fingerprint] && !forces[a.Run]
		if len(a.Checkpoints) == 0 || gone[a.Run] || !useless {
			continue
		}
		free, err := c.lockRun(a.Run)
		if err == nil && free {
			free, err = c.lockFingerprint(a.Fingerprint)
		}
		if err != nil {
			return nil, err
		}
		if !free {
			continue
		}
		for _, k := range a.Checkpoints {
			path := filepath.Join(c.s.dir, filepath.FromSlash(k.Path))
			if _, err := os.Lstat(path); errors.Is(err, fs.ErrNotExist) {
				continue
			}
			if err := c.trash(path, "checkpoint of work that is done"); err != nil {
				return nil, err
			}
		}
		done = append(done, a)
	}
	return done, nil
}

// unlink deletes the records of what goes, in one transaction in which it is looked at once
// more what refers to it. It takes out of gone what stays after all.
func (c *collection) unlink(ctx context.Context, list []gcRun, gone map[string]bool, done []Attempt) error {
	vanished := c.vanishedFiles(gone)
	return c.s.Update(ctx, func(t *Tx) error {
		runs, err := t.Runs()
		if err != nil {
			return err
		}
		before := map[string]gcRun{}
		for _, r := range list {
			before[r.run.ID] = r
		}
		var now []gcRun
		for _, r := range runs {
			g, known := before[r.ID]
			if !known || g.run.Epoch != r.Epoch || g.run.State != r.State || r.State == RunRunning {
				if g.refs, err = t.runReferences(r.ID); err != nil {
					return err
				}
			}
			g.run = r
			now = append(now, g)
		}
		spare(now, gone)
		t.what = "gc"
		for id := range gone {
			if err := c.unlinkRun(t, id); err != nil {
				return err
			}
		}
		for _, a := range done {
			if err := t.forgetCheckpoints(a, gone); err != nil {
				return err
			}
		}
		for _, path := range vanished {
			if err := t.forgetFile(path); err != nil {
				return err
			}
		}
		return c.unlinkParts(t, now, gone)
	})
}

// runReferences are the runs that a run refers to by now.
func (t *Tx) runReferences(id string) (map[string]bool, error) {
	refs := map[string]bool{}
	stages, err := t.Stages(id)
	if err != nil {
		return nil, err
	}
	for _, s := range stages {
		for _, ref := range s.references() {
			refs[ref] = true
		}
	}
	attempts, err := t.RunAttempts(id)
	for _, a := range attempts {
		if a.ResumedFrom != nil && a.ResumedFrom.Run != id {
			refs[a.ResumedFrom.Run] = true
		}
	}
	return refs, err
}

// unlinkRun deletes all records of a run. Its lock is ours: they are as they were read.
func (c *collection) unlinkRun(t *Tx, id string) error {
	for _, e := range c.records.cache {
		if e.Run != id {
			continue
		}
		now, found, err := t.Cache(e.Fingerprint)
		if err != nil {
			return err
		}
		if found && now.Run == id { // not done anew by another run
			if err := t.removeKey(bucketCache, e.Fingerprint); err != nil {
				return err
			}
		}
	}
	for _, a := range c.records.attemptsOf(id) {
		if a.Fingerprint != "" {
			index, err := numberedKey(a.Number, a.Fingerprint, a.Run, a.Instance)
			if err != nil {
				return err
			}
			if err := t.remove(bucketUnfinished, index); err != nil {
				return err
			}
		}
		key, err := numberedKey(a.Number, a.Run, a.Instance)
		if err != nil {
			return err
		}
		if err := t.remove(bucketAttempts, key); err != nil {
			return err
		}
	}
	for _, s := range c.records.stages {
		if s.Run == id {
			if err := t.removeKey(bucketStages, id, s.Instance); err != nil {
				return err
			}
		}
	}
	return errors.Join(t.removeKey(bucketPlans, id), t.removeKey(bucketRuns, id))
}

func (t *Tx) removeKey(bucket []byte, parts ...string) error {
	key, err := textKey(parts...)
	if err != nil {
		return err
	}
	return t.remove(bucket, key)
}

// forgetCheckpoints takes the checkpoints out of an attempt's record.
func (t *Tx) forgetCheckpoints(a Attempt, gone map[string]bool) error {
	if gone[a.Run] {
		return nil
	}
	run, err := t.Run(a.Run)
	if err != nil {
		return err
	}
	a.Epoch, a.Checkpoints = run.Epoch, nil
	return t.putAttempt(a)
}

// vanishedFiles are those with a remembered digest that are not there any more, or will not be.
func (c *collection) vanishedFiles(gone map[string]bool) []string {
	var paths []string
	for _, f := range c.records.files {
		path := f.Key.Path
		rel, err := filepath.Rel(filepath.Join(c.s.dir, runsName), path)
		first, _, _ := strings.Cut(filepath.ToSlash(rel), "/")
		if err == nil && gone[first] {
			paths = append(paths, path)
			continue
		}
		if info, err := os.Stat(path); errors.Is(err, fs.ErrNotExist) || err == nil && KeyOf(path, info) != f.Key {
			paths = append(paths, path)
		}
	}
	return paths
}

func (t *Tx) forgetFile(path string) error { return t.removeKey(bucketFiles, path) }

// unlinkParts forgets what workflows that no run is left of had last: nothing will be compared
// with it.
func (c *collection) unlinkParts(t *Tx, now []gcRun, gone map[string]bool) error {
	if len(gone) == 0 {
		return nil
	}
	left := map[string]bool{}
	for _, r := range now {
		if !gone[r.run.ID] {
			left[r.run.Workflow] = true
		}
	}
	for _, p := range c.records.parts {
		if !left[p.Workflow] {
			if err := t.removeKey(bucketParts, p.Workflow, p.Instance); err != nil {
				return err
			}
		}
	}
	return nil
}
