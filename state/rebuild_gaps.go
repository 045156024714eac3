package state

import (
	"cmp"
	"errors"
	"slices"
)

// fillGaps makes records that were replayed from journals with lost lines agree with each other
// again, so that the work which they know of is not lost with the lines: what a record needs and
// nobody knows is made up as far as that is harmless, and what cannot be relied on is dropped.
func fillGaps(t *Tx) error {
	all, err := readAll(t)
	if err != nil {
		return err
	}
	runs := map[string]Run{}
	for _, r := range all.runs {
		runs[r.ID] = r
	}
	for _, s := range all.stages {
		claim(runs, s.Run, s.Epoch)
	}
	for _, a := range all.attempts {
		claim(runs, a.Run, a.Epoch)
	}
	for _, r := range runs {
		if err := errors.Join(t.putRun(r), t.fillPlan(r.ID, all)); err != nil {
			return err
		}
	}
	if err := t.fillAttempts(all.attempts); err != nil {
		return err
	}
	for _, e := range all.cache {
		a, err := t.Attempt(e.Run, e.Instance, e.Attempt)
		if err != nil && !errors.Is(err, ErrNotFound) {
			return err
		}
		if a.Outcome != Succeeded || a.Fingerprint != e.Fingerprint {
			if err := t.removeKey(bucketCache, e.Fingerprint); err != nil {
				return err
			}
		}
	}
	return nil
}

// claim sees to it that there is a run for a record of this epoch.
func claim(runs map[string]Run, id string, epoch int64) {
	r, known := runs[id]
	if !known {
		r = Run{ID: id, State: RunInterrupted, Note: "its own record was lost"}
		r.Started = RunTime(id)
	}
	r.Epoch = max(r.Epoch, epoch, 1)
	runs[id] = r
}

// fillPlan gives a run whose plan is lost one that lists its stages. It cannot be resumed.
func (t *Tx) fillPlan(id string, all *allRecords) error {
	if slices.ContainsFunc(all.plans, func(p RunPlan) bool { return p.Run == id }) {
		return nil
	}
	p := RunPlan{Run: id}
	for _, s := range all.stages {
		if s.Run == id {
			p.Order = append(p.Order, s.Instance)
		}
	}
	return t.putPlan(p)
}

// fillAttempts puts attempts that say nothing in place of lost ones before others.
func (t *Tx) fillAttempts(attempts []Attempt) error {
	last := map[[2]string]int{}
	slices.SortStableFunc(attempts, func(a, b Attempt) int { return cmp.Compare(a.Number, b.Number) })
	for _, a := range attempts {
		of := [2]string{a.Run, a.Instance}
		for n := last[of] + 1; n < a.Number; n++ {
			lost := Attempt{Run: a.Run, Instance: a.Instance, Number: n, Epoch: 1, Outcome: Interrupted, Started: a.Started, Ended: a.Started}
			if err := t.putAttempt(lost); err != nil {
				return err
			}
		}
		last[of] = a.Number
	}
	return nil
}
