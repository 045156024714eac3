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

// step is one random operation, done to the store and to the model. Both must accept it
// or both refuse it.
func step(r *rand.Rand, tx *Tx, m *model) (what string, got error, allowed bool) {
	run := fmt.Sprintf("2026010%d-000000-aaaaa", r.IntN(4)+1)
	instance := []string{"data", "train", "train[r=8]", "bake"}[r.IntN(4)]
	id := run + "/" + instance
	current, exists := m.runs[run]
	epoch := current.Epoch
	if r.IntN(8) == 0 {
		epoch += int64(r.IntN(3) - 1)
	}
	fenced := epoch != current.Epoch
	outcome := allOutcomes[r.IntN(len(allOutcomes))]
	switch r.IntN(8) {
	case 0:
		rec, plan := newRun(run)
		if allowed = !exists; allowed {
			m.runs[run] = rec
		}
		return "create " + run, tx.CreateRun(rec, plan), allowed
	case 1:
		if r.IntN(3) > 0 {
			return "nothing", nil, true
		}
		allowed = exists && current.State != RunSucceeded
		if allowed {
			current.Epoch++
			current.State = RunRunning
			current.Ended = time.Time{}
			m.runs[run] = current
		}
		_, err := tx.TakeOver(run)
		return "take over " + run, err, allowed
	case 2:
		next := current
		next.ID = run
		next.Epoch = epoch
		next.State = []RunState{RunRunning, RunInterrupted, RunSucceeded, RunFailed, RunCancelled}[r.IntN(5)]
		next.Note = fmt.Sprint(r.IntN(100))
		if allowed = exists && !fenced && current.State == RunRunning; allowed {
			m.runs[run] = next
		}
		return "put " + run, tx.PutRun(next), allowed
	case 3, 4:
		old := m.stages[id]
		s := StageRecord{Run: run, Instance: instance, Stage: "s", Epoch: epoch, Outcome: outcome, Reason: fmt.Sprint(r.IntN(1000))}
		table := stageTransitions[old.Outcome]
		if old.Outcome != "" && old.Epoch < epoch {
			table = stageReopen
		}
		if allowed = exists && !fenced && slices.Contains(table, outcome); allowed {
			m.stages[id] = s
		}
		return "stage " + id, tx.PutStage(s), allowed
	case 5, 6:
		list := m.attempts[id]
		number := len(list) + r.IntN(3) - 1
		if number < 1 {
			number = 1
		}
		a := newAttempt(run, instance, number)
		a.Epoch, a.Outcome = epoch, []Outcome{Running, Running, Succeeded, outcome}[r.IntN(4)]
		for i := range r.IntN(3) {
			a.Checkpoints = append(a.Checkpoints, CheckpointRecord{Step: int64(i), Path: "p"})
		}
		var old Outcome
		if number <= len(list) {
			old = list[number-1].Outcome
		}
		allowed = exists && !fenced && number <= len(list)+1 && slices.Contains(attemptTransitions[old], a.Outcome)
		if allowed {
			if old == "" {
				list = append(list, a)
			}
			list[number-1] = a
			m.attempts[id] = list
		}
		return fmt.Sprintf("attempt %s/%d", id, number), tx.PutAttempt(a), allowed
	default:
		if r.IntN(2) == 0 {
			p := LatestParts{Workflow: "w", Instance: instance, Run: run, Epoch: epoch, Fingerprint: fmt.Sprint(r.IntN(9))}
			if allowed = exists && !fenced; allowed {
				m.parts[instance] = p
			}
			return "parts " + instance, tx.PutLatestParts(p), allowed
		}
		list := m.attempts[id]
		e := CacheEntry{Fingerprint: "fp-" + instance, Run: run, Instance: instance, Attempt: max(1, len(list)), Epoch: epoch, Time: testTime}
		if allowed = exists && !fenced && len(list) > 0 && list[len(list)-1].Outcome == Succeeded; allowed {
			m.cache[e.Fingerprint] = e
		}
		return "cache " + id, tx.PutCache(e), allowed
	}
}

// TestSimulation runs random transactions, some of them given up, against the model, and
// compares everything now and then: as the store answers, as a second store does, and as
// a database rebuilt from the journals does.
func TestSimulation(t *testing.T) {
	for seed := range uint64(3) {
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
			if err := Rebuild(context.Background(), dir); err != nil {
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
