package state

import (
	"context"
	"errors"
	"slices"
	"strings"
	"testing"
)

var allOutcomes = []Outcome{Pending, Running, Succeeded, Cached, Skipped, Failed, Blocked, Interrupted, Cancelled}

// try runs f in a transaction that is given up, and returns f's error.
func try(s *Store, f func(*Tx) error) error {
	undo := errors.New("undo")
	var got error
	err := s.Update(context.Background(), func(tx *Tx) error {
		got = f(tx)
		return undo
	})
	if !errors.Is(err, undo) {
		return err
	}
	return got
}

func TestStageTransitions(t *testing.T) {
	s := openStore(t, t.TempDir(), Options{})
	createRun(t, s, testRun)
	legal := map[Outcome]string{
		"":      "pending running cached skipped failed blocked cancelled",
		Pending: "pending running succeeded cached skipped failed blocked interrupted cancelled",
		Running: "running pending succeeded cached skipped failed interrupted cancelled",
	}
	for _, from := range append([]Outcome{""}, allOutcomes...) {
		for _, to := range allOutcomes {
			err := try(s, func(tx *Tx) error {
				if from != "" {
					// Put past the table, as the state to start from.
					if err := tx.putStage(StageRecord{Run: testRun, Instance: "data", Epoch: 1, Outcome: from}); err != nil {
						t.Fatal(err)
					}
				}
				return tx.PutStage(StageRecord{Run: testRun, Instance: "data", Epoch: 1, Outcome: to})
			})
			want := slices.Contains(strings.Fields(legal[from]), string(to))
			if (err == nil) != want || !want && !errors.Is(err, ErrTransition) {
				t.Errorf("%q to %q: %v, allowed: %v", from, to, err, want)
			}
			if from == "" {
				continue
			}
			// A new engine may make anything of what the former left.
			err = try(s, func(tx *Tx) error {
				if err := tx.putStage(StageRecord{Run: testRun, Instance: "data", Epoch: 1, Outcome: from}); err != nil {
					t.Fatal(err)
				}
				if _, err := tx.TakeOver(testRun); err != nil {
					t.Fatal(err)
				}
				return tx.PutStage(StageRecord{Run: testRun, Instance: "data", Epoch: 2, Outcome: to})
			})
			if err != nil {
				t.Errorf("%q to %q in a new epoch: %v", from, to, err)
			}
		}
	}
}

func TestAttemptTransitions(t *testing.T) {
	s := openStore(t, t.TempDir(), Options{})
	createRun(t, s, testRun)
	legal := map[Outcome]string{
		"":          "running",
		Running:     "running succeeded skipped failed interrupted cancelled",
		Succeeded:   "succeeded",
		Skipped:     "skipped",
		Failed:      "failed",
		Interrupted: "interrupted succeeded",
		Cancelled:   "cancelled",
	}
	for from, allowed := range legal {
		for _, to := range allOutcomes {
			err := try(s, func(tx *Tx) error {
				a := newAttempt(testRun, "data", 1)
				if from != "" {
					a.Outcome = from
					if err := tx.putAttempt(a); err != nil {
						t.Fatal(err)
					}
				}
				a.Outcome = to
				return tx.PutAttempt(a)
			})
			want := slices.Contains(strings.Fields(allowed), string(to))
			if (err == nil) != want || !want && !errors.Is(err, ErrTransition) {
				t.Errorf("%q to %q: %v, allowed: %v", from, to, err, want)
			}
		}
	}
}

func TestAttemptNumbersHaveNoGaps(t *testing.T) {
	s := openStore(t, t.TempDir(), Options{})
	createRun(t, s, testRun)
	for number, want := range map[int]error{1: nil, 2: ErrTransition, 3: ErrTransition} {
		if err := try(s, func(tx *Tx) error { return tx.PutAttempt(newAttempt(testRun, "data", number)) }); !errors.Is(err, want) {
			t.Errorf("first attempt has number %d: %v", number, err)
		}
	}
	err := try(s, func(tx *Tx) error {
		if err := tx.PutAttempt(newAttempt(testRun, "data", 1)); err != nil {
			return err
		}
		return tx.PutAttempt(newAttempt(testRun, "data", 2))
	})
	if err != nil {
		t.Error(err)
	}
}

func TestAttemptKeepsItsFingerprint(t *testing.T) {
	s := openStore(t, t.TempDir(), Options{})
	createRun(t, s, testRun)
	err := try(s, func(tx *Tx) error {
		a := newAttempt(testRun, "data", 1)
		if err := tx.PutAttempt(a); err != nil {
			t.Fatal(err)
		}
		a.Fingerprint = "other"
		return tx.PutAttempt(a)
	})
	if !errors.Is(err, ErrTransition) {
		t.Errorf("got %v", err)
	}
}

func TestRunTransitions(t *testing.T) {
	s := openStore(t, t.TempDir(), Options{})
	states := []RunState{RunRunning, RunInterrupted, RunSucceeded, RunFailed, RunCancelled}
	for _, from := range states {
		for _, to := range states {
			err := try(s, func(tx *Tx) error {
				run, plan := newRun(testRun)
				if err := tx.CreateRun(run, plan); err != nil {
					t.Fatal(err)
				}
				run.State = from
				if err := tx.putRun(run); err != nil {
					t.Fatal(err)
				}
				run.State = to
				return tx.PutRun(run)
			})
			if want := from == RunRunning; (err == nil) != want || !want && !errors.Is(err, ErrTransition) {
				t.Errorf("%s to %s: %v", from, to, err)
			}
		}
		err := try(s, func(tx *Tx) error {
			run, plan := newRun(testRun)
			if err := tx.CreateRun(run, plan); err != nil {
				t.Fatal(err)
			}
			run.State = from
			if err := tx.putRun(run); err != nil {
				t.Fatal(err)
			}
			taken, err := tx.TakeOver(testRun)
			if err == nil && (taken.Epoch != 2 || taken.State != RunRunning || mustRun(t, tx).Epoch != 2) {
				t.Errorf("taken over: %+v", taken)
			}
			return err
		})
		if want := from != RunSucceeded; (err == nil) != want {
			t.Errorf("taking over a run that is %s: %v", from, err)
		}
	}
}

func TestCreateRunRefusesATakenId(t *testing.T) {
	s := openStore(t, t.TempDir(), Options{})
	createRun(t, s, testRun)
	run, plan := newRun(testRun)
	if err := s.Update(context.Background(), func(tx *Tx) error { return tx.CreateRun(run, plan) }); !errors.Is(err, ErrTransition) {
		t.Errorf("got %v", err)
	}
}

// TestOlderEpochIsFenced: after a take-over nothing the former engine writes gets in.
func TestOlderEpochIsFenced(t *testing.T) {
	s := openStore(t, t.TempDir(), Options{})
	createRun(t, s, testRun)
	update(t, s, func(tx *Tx) error {
		a := newAttempt(testRun, "data", 1)
		if err := tx.PutAttempt(a); err != nil {
			return err
		}
		a.Outcome = Succeeded
		if err := tx.PutAttempt(a); err != nil {
			return err
		}
		_, err := tx.TakeOver(testRun)
		return err
	})
	for _, epoch := range []int64{1, 3} {
		for name, write := range map[string]func(*Tx) error{
			"run": func(tx *Tx) error { r := mustRun(t, tx); r.Epoch = epoch; return tx.PutRun(r) },
			"stage": func(tx *Tx) error {
				return tx.PutStage(StageRecord{Run: testRun, Instance: "data", Epoch: epoch, Outcome: Pending})
			},
			"attempt": func(tx *Tx) error {
				a := newAttempt(testRun, "data", 2)
				a.Epoch = epoch
				return tx.PutAttempt(a)
			},
			"cache": func(tx *Tx) error {
				return tx.PutCache(CacheEntry{Fingerprint: "fp-data", Run: testRun, Instance: "data", Attempt: 1, Epoch: epoch})
			},
			"parts": func(tx *Tx) error {
				return tx.PutLatestParts(LatestParts{Workflow: "w", Instance: "data", Run: testRun, Epoch: epoch})
			},
		} {
			if err := try(s, write); !errors.Is(err, ErrFenced) {
				t.Errorf("%s of epoch %d, now 2: %v", name, epoch, err)
			}
		}
	}
}

func TestCacheNeedsASucceededAttempt(t *testing.T) {
	s := openStore(t, t.TempDir(), Options{})
	createRun(t, s, testRun)
	entry := CacheEntry{Fingerprint: "fp-data", Run: testRun, Instance: "data", Attempt: 1, Epoch: 1}
	for outcome, want := range map[Outcome]error{Running: ErrTransition, Failed: ErrTransition, Skipped: ErrTransition, Succeeded: nil} {
		err := try(s, func(tx *Tx) error {
			a := newAttempt(testRun, "data", 1)
			a.Outcome = outcome
			if err := tx.putAttempt(a); err != nil {
				t.Fatal(err)
			}
			return tx.PutCache(entry)
		})
		if !errors.Is(err, want) {
			t.Errorf("cache entry of an attempt that is %s: %v", outcome, err)
		}
	}
	if err := try(s, func(tx *Tx) error { return tx.PutCache(entry) }); !errors.Is(err, ErrNotFound) {
		t.Errorf("without attempt: %v", err)
	}
}
