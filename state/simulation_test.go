package state

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"math/rand/v2"
	"slices"
	"testing"
	"time"
)

// model is the same state as plain maps: what the store must answer.
type model struct {
	runs     map[string]Run
	stages   map[string]StageRecord // run/instance
	attempts map[string][]Attempt   // run/instance
	cache    map[string]CacheEntry
	parts    map[string]LatestParts
}

func newModel() *model {
	return &model{map[string]Run{}, map[string]StageRecord{}, map[string][]Attempt{}, map[string]CacheEntry{}, map[string]LatestParts{}}
}

func (m *model) clone() *model {
	c := newModel()
	for k, v := range m.runs {
		c.runs[k] = v
	}
	for k, v := range m.stages {
		c.stages[k] = v
	}
	for k, v := range m.attempts {
		c.attempts[k] = slices.Clone(v)
	}
	for k, v := range m.cache {
		c.cache[k] = v
	}
	for k, v := range m.parts {
		c.parts[k] = v
	}
	return c
}

// operation is one random thing to do, to the store and to the model. Both must accept it
// or both refuse it.
type operation struct {
	*rand.Rand
	tx            *Tx
	m             *model
	run, instance string
	current       Run
	exists        bool
	epoch         int64 // that of the run, or now and then another
	outcome       Outcome
}

// step does one operation; allowed is what the model says.
func step(r *rand.Rand, tx *Tx, m *model) (what string, got error, allowed bool) {
	o := &operation{Rand: r, tx: tx, m: m}
	o.run = fmt.Sprintf("2026010%d-000000-aaaaa", r.IntN(4)+1)
	o.instance = []string{"data", "train", "train[r=8]", "bake"}[r.IntN(4)]
	o.current, o.exists = m.runs[o.run]
	o.epoch = o.current.Epoch
	if r.IntN(8) == 0 {
		o.epoch += int64(r.IntN(3) - 1)
	}
	o.outcome = allOutcomes[r.IntN(len(allOutcomes))]
	// Stages and attempts come up more often than runs.
	kinds := []func() (string, error, bool){o.create, o.takeOver, o.putRun, o.putStage, o.putStage, o.putAttempt, o.putAttempt, o.putParts, o.putCache}
	return kinds[r.IntN(len(kinds))]()
}

// mayWrite: the run exists and the epoch is its newest.
func (o *operation) mayWrite() bool { return o.exists && o.epoch == o.current.Epoch }

func (o *operation) id() string { return o.run + "/" + o.instance }

func (o *operation) create() (string, error, bool) {
	run, plan := newRun(o.run)
	if !o.exists {
		o.m.runs[o.run] = run
	}
	return "create " + o.run, o.tx.CreateRun(run, plan), !o.exists
}

func (o *operation) takeOver() (string, error, bool) {
	if o.IntN(3) > 0 {
		return "nothing", nil, true // else epochs would rise too fast for anything to be done in one
	}
	allowed := o.exists && o.current.State != RunSucceeded
	if allowed {
		next := o.current
		next.Epoch++
		next.State = RunRunning
		next.Ended = time.Time{}
		o.m.runs[o.run] = next
	}
	_, err := o.tx.TakeOver(o.run)
	return "take over " + o.run, err, allowed
}

func (o *operation) putRun() (string, error, bool) {
	next := o.current
	next.ID = o.run
	next.Epoch = o.epoch
	next.State = []RunState{RunRunning, RunInterrupted, RunSucceeded, RunFailed, RunCancelled}[o.IntN(5)]
	next.Note = fmt.Sprint(o.IntN(100))
	allowed := o.mayWrite() && o.current.State == RunRunning
	if allowed {
		o.m.runs[o.run] = next
	}
	return "put " + o.run, o.tx.PutRun(next), allowed
}

func (o *operation) putStage() (string, error, bool) {
	old := o.m.stages[o.id()]
	s := StageRecord{Run: o.run, Instance: o.instance, Stage: "s", Epoch: o.epoch, Outcome: o.outcome, Reason: fmt.Sprint(o.IntN(1000))}
	table := stageTransitions[old.Outcome]
	if old.Outcome != "" && old.Epoch < o.epoch {
		table = stageReopen
	}
	allowed := o.mayWrite() && slices.Contains(table, o.outcome)
	if allowed {
		o.m.stages[o.id()] = s
	}
	return "stage " + o.id(), o.tx.PutStage(s), allowed
}

func (o *operation) putAttempt() (string, error, bool) {
	list := o.m.attempts[o.id()]
	a := newAttempt(o.run, o.instance, max(1, len(list)+o.IntN(3)-1))
	a.Epoch, a.Outcome = o.epoch, []Outcome{Running, Running, Succeeded, o.outcome}[o.IntN(4)]
	for i := range o.IntN(3) {
		a.Checkpoints = append(a.Checkpoints, CheckpointRecord{Step: int64(i), Path: "p"})
	}
	var old Outcome
	if a.Number <= len(list) {
		old = list[a.Number-1].Outcome
	}
	allowed := o.mayWrite() && a.Number <= len(list)+1 && slices.Contains(attemptTransitions[old], a.Outcome)
	if allowed {
		if old == "" {
			list = append(list, a)
		}
		list[a.Number-1] = a
		o.m.attempts[o.id()] = list
	}
	return fmt.Sprintf("attempt %s/%d", o.id(), a.Number), o.tx.PutAttempt(a), allowed
}

func (o *operation) putParts() (string, error, bool) {
	p := LatestParts{Workflow: "w", Instance: o.instance, Run: o.run, Epoch: o.epoch, Fingerprint: fmt.Sprint(o.IntN(9))}
	if o.mayWrite() {
		o.m.parts[o.instance] = p
	}
	return "parts " + o.instance, o.tx.PutLatestParts(p), o.mayWrite()
}

func (o *operation) putCache() (string, error, bool) {
	list := o.m.attempts[o.id()]
	e := CacheEntry{Fingerprint: "fp-" + o.instance, Run: o.run, Instance: o.instance, Attempt: max(1, len(list)), Epoch: o.epoch, Time: testTime}
	allowed := o.mayWrite() && len(list) > 0 && list[len(list)-1].Outcome == Succeeded
	if allowed {
		o.m.cache[e.Fingerprint] = e
	}
	return "cache " + o.id(), o.tx.PutCache(e), allowed
}

// TestSimulation runs random transactions, some of them given up, against the model, and
// compares everything now and then: as the store answers, as a second store does, and as
// a database rebuilt from the journals does.
func TestSimulation(t *testing.T) {
	for seed := range uint64(2) {
		t.Run(fmt.Sprint(seed), func(t *testing.T) {
			r := rand.New(rand.NewPCG(seed, 7))
			dir := t.TempDir()
			s := openStore(t, dir, Options{})
			m := newModel()
			undo := errors.New("undo")
			accepted, refused := 0, 0
			for round := range 300 {
				next := m.clone()
				err := s.Update(context.Background(), func(tx *Tx) error {
					for range 1 + r.IntN(4) {
						what, got, allowed := step(r, tx, next)
						if allowed {
							accepted++
						} else {
							refused++
						}
						if (got == nil) != allowed {
							t.Fatalf("round %d: %s: %v, the model says %v", round, what, got, allowed)
						}
					}
					if r.IntN(5) == 0 {
						return undo
					}
					return nil
				})
				switch {
				case err == nil:
					m = next
				case !errors.Is(err, undo):
					t.Fatal(err)
				}
				if round%60 == 59 {
					compare(t, s, m)
				}
			}
			if accepted < 100 || refused < 100 || len(m.cache) == 0 {
				t.Errorf("too little happened: %d operations accepted, %d refused, %d cached", accepted, refused, len(m.cache))
			}
			compare(t, openStore(t, dir, Options{}), m)
			if err := withStore(dir, func(s *Store) error { return s.rebuild(context.Background()) }); err != nil {
				t.Fatal(err)
			}
			compare(t, openStore(t, dir, Options{}), m)
		})
	}
}

func compare(t *testing.T, s *Store, m *model) {
	t.Helper()
	same := func(what string, got, want any) {
		t.Helper()
		a, errA := json.Marshal(got)
		b, errB := json.Marshal(want)
		if errA != nil || errB != nil || string(a) != string(b) {
			t.Errorf("%s:\n%s\nwant\n%s (%v, %v)", what, a, b, errA, errB)
		}
	}
	view(t, s, func(tx *Tx) error {
		runs, err := tx.Runs()
		if err != nil || len(runs) != len(m.runs) {
			t.Errorf("%d runs, want %d: %v", len(runs), len(m.runs), err)
		}
		unfinished := map[string][]Attempt{}
		for _, run := range runs {
			same("run", run, m.runs[run.ID])
			stages, err := tx.Stages(run.ID)
			if err != nil {
				return err
			}
			for _, rec := range stages {
				same("stage", rec, m.stages[run.ID+"/"+rec.Instance])
			}
			for _, instance := range []string{"data", "train", "train[r=8]", "bake"} {
				list, err := tx.Attempts(run.ID, instance)
				if err != nil {
					return err
				}
				same("attempts", list, m.attempts[run.ID+"/"+instance])
				for _, a := range list {
					if len(a.Checkpoints) > 0 && a.Outcome != Succeeded && a.Outcome != Skipped {
						unfinished[a.Fingerprint] = append(unfinished[a.Fingerprint], a)
					}
				}
			}
		}
		for _, instance := range []string{"data", "train", "train[r=8]", "bake"} {
			entry, ok, err := tx.Cache("fp-" + instance)
			want, wantOK := m.cache["fp-"+instance]
			if ok != wantOK || err != nil {
				t.Errorf("cache of %s: %v, want %v: %v", instance, ok, wantOK, err)
			}
			same("cache", entry, want)
			parts, ok, err := tx.LatestParts("w", instance)
			wantParts, wantOK := m.parts[instance]
			if ok != wantOK || err != nil {
				t.Errorf("parts of %s: %v, want %v: %v", instance, ok, wantOK, err)
			}
			same("parts", parts, wantParts)
			list, err := tx.Unfinished("fp-" + instance)
			if err != nil || len(list) != len(unfinished["fp-"+instance]) {
				t.Errorf("%d unfinished of %s, want %d: %v", len(list), instance, len(unfinished["fp-"+instance]), err)
			}
		}
		return nil
	})
}
