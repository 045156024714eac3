package state

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"
)

func openStore(t testing.TB, dir string, opts Options) *Store {
	t.Helper()
	s, err := Open(dir, opts)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := s.Close(); err != nil {
			t.Errorf("closing: %v", err)
		}
	})
	return s
}

func update(t testing.TB, s *Store, f func(*Tx) error) {
	t.Helper()
	if err := s.Update(context.Background(), f); err != nil {
		t.Fatal(err)
	}
}

func view(t testing.TB, s *Store, f func(*Tx) error) {
	t.Helper()
	if err := s.View(context.Background(), f); err != nil {
		t.Fatal(err)
	}
}

var testTime = time.Date(2026, 1, 2, 3, 4, 5, 0, time.UTC)

const testRun = "20260102-030405-aaaaa"

func newRun(id string) (Run, RunPlan) {
	return Run{ID: id, Workflow: "w", File: "w.yaml", State: RunRunning, Epoch: 1, Started: testTime},
		RunPlan{Run: id, Source: "version: 1\n", Order: []string{"data", "train", "bake"}}
}

func createRun(t testing.TB, s *Store, id string) {
	t.Helper()
	run, plan := newRun(id)
	update(t, s, func(tx *Tx) error { return tx.CreateRun(run, plan) })
}

func newAttempt(run, instance string, number int) Attempt {
	return Attempt{Run: run, Instance: instance, Number: number, Epoch: 1, Fingerprint: "fp-" + instance, Outcome: Running, Started: testTime.Add(time.Duration(number) * time.Minute)}
}

func TestOpenIgnoresFolderInVersionControl(t *testing.T) {
	dir := t.TempDir()
	openStore(t, dir, Options{})
	b, err := os.ReadFile(filepath.Join(dir, ".gitignore"))
	if err != nil || string(b) != "*\n" {
		t.Fatalf(".gitignore is %q, %v", b, err)
	}
}

func TestUpdateIsAllOrNothing(t *testing.T) {
	s := openStore(t, t.TempDir(), Options{})
	createRun(t, s, testRun)
	boom := errors.New("boom")
	err := s.Update(context.Background(), func(tx *Tx) error {
		if err := tx.PutStage(StageRecord{Run: testRun, Instance: "data", Stage: "data", Epoch: 1, Outcome: Pending}); err != nil {
			return err
		}
		return boom
	})
	if !errors.Is(err, boom) {
		t.Fatalf("got %v", err)
	}
	view(t, s, func(tx *Tx) error {
		if _, err := tx.Stage(testRun, "data"); !errors.Is(err, ErrNotFound) {
			t.Errorf("stage of a transaction given up: %v", err)
		}
		return nil
	})
}

func TestPanicOfCallerPassesAndFreesTheLock(t *testing.T) {
	s := openStore(t, t.TempDir(), Options{})
	createRun(t, s, testRun)
	func() {
		defer func() {
			if p := recover(); p != "mine" {
				t.Errorf("recovered %v", p)
			}
		}()
		_ = s.Update(context.Background(), func(*Tx) error { panic("mine") })
	}()
	ctx, cancel := context.WithTimeout(context.Background(), time.Minute)
	defer cancel()
	if err := s.Update(ctx, func(tx *Tx) error { return tx.PutRun(mustRun(t, tx)) }); err != nil {
		t.Fatal(err)
	}
}

func mustRun(t testing.TB, tx *Tx) Run {
	t.Helper()
	r, err := tx.Run(testRun)
	if err != nil {
		t.Fatal(err)
	}
	return r
}

func TestBeforeCommitSeesEachDurableStepAndMayStopIt(t *testing.T) {
	var steps []string
	stop := errors.New("stop")
	var fail string
	dir := t.TempDir()
	s := openStore(t, dir, Options{BeforeCommit: func(what string) error {
		steps = append(steps, what)
		if what == fail {
			return stop
		}
		return nil
	}})
	createRun(t, s, testRun)
	put := func(o Outcome) error {
		return s.Update(context.Background(), func(tx *Tx) error {
			return tx.PutStage(StageRecord{Run: testRun, Instance: "data", Stage: "data", Epoch: 1, Outcome: o})
		})
	}
	fail = "commit stage data pending"
	if err := put(Pending); !errors.Is(err, stop) {
		t.Fatalf("got %v", err)
	}
	fail = ""
	if err := put(Running); err != nil {
		t.Fatal(err)
	}
	view(t, s, func(tx *Tx) error { return nil })
	update(t, s, func(tx *Tx) error { return nil })
	want := "journal run running|commit run running|journal stage data pending|commit stage data pending|journal stage data running|commit stage data running"
	if got := strings.Join(steps, "|"); got != want {
		t.Errorf("steps\n%s\nwant\n%s", got, want)
	}
}

func TestWaitingEndsWithContext(t *testing.T) {
	s := openStore(t, t.TempDir(), Options{})
	createRun(t, s, testRun)
	other := openStore(t, s.Dir(), Options{})
	update(t, s, func(*Tx) error {
		ctx, cancel := context.WithTimeout(context.Background(), 30*time.Millisecond)
		defer cancel()
		for _, err := range []error{
			other.View(ctx, func(*Tx) error { t.Error("read while a writer is inside"); return nil }),
			other.Update(ctx, func(*Tx) error { t.Error("wrote while a writer is inside"); return nil }),
		} {
			if !errors.Is(err, context.DeadlineExceeded) {
				t.Errorf("got %v", err)
			}
		}
		return nil
	})
	view(t, other, func(*Tx) error { return nil })
}

func TestMetricsThatJSONCannotSay(t *testing.T) {
	in := `{"a":1.5,"b":"NaN","c":"+Inf","d":"-Inf"}`
	var m Metrics
	if err := json.Unmarshal([]byte(in), &m); err != nil {
		t.Fatal(err)
	}
	out, err := json.Marshal(m)
	if err != nil || string(out) != in {
		t.Errorf("%s, %v", out, err)
	}
}

func TestSchemaVersions(t *testing.T) {
	dir := t.TempDir()
	s := openStore(t, dir, Options{})
	createRun(t, s, testRun)
	newer := openStore(t, dir, Options{})
	newer.schema = 2
	newer.migrations = map[int]func(*Tx) error{1: func(tx *Tx) error {
		r := mustRun(t, tx)
		r.Note = "migrated"
		return tx.putRun(r)
	}}
	lock, err := LockRun(dir, testRun, Self("so8t run", testRun))
	if err != nil {
		t.Fatal(err)
	}
	var held *HeldError
	if err := newer.View(context.Background(), func(*Tx) error { return nil }); !errors.As(err, &held) || held.Holder.PID != os.Getpid() {
		t.Errorf("migrating under a live engine: %v", err)
	}
	if err := lock.Release(); err != nil {
		t.Fatal(err)
	}
	view(t, newer, func(tx *Tx) error {
		if r := mustRun(t, tx); r.Note != "migrated" {
			t.Errorf("note %q", r.Note)
		}
		return nil
	})
	var tooNew *TooNewError
	if err := s.View(context.Background(), func(*Tx) error { return nil }); !errors.As(err, &tooNew) || tooNew.Found != 2 || tooNew.Supported != 1 {
		t.Errorf("reading a newer schema: %v", err)
	}
}

func BenchmarkUpdate(b *testing.B) {
	s := openStore(b, b.TempDir(), Options{})
	createRun(b, s, testRun)
	a := newAttempt(testRun, "train", 1)
	for b.Loop() {
		update(b, s, func(tx *Tx) error { return tx.PutAttempt(a) })
	}
}

func BenchmarkView(b *testing.B) {
	s := openStore(b, b.TempDir(), Options{})
	createRun(b, s, testRun)
	for b.Loop() {
		view(b, s, func(tx *Tx) error { _, err := tx.Run(testRun); return err })
	}
}

// BenchmarkLarge measures what a database of 20 runs with 1,000 stages each costs: opening
// a store and reading one run, and an update.
func BenchmarkLarge(b *testing.B) {
	dir := b.TempDir()
	s := openStore(b, dir, Options{})
	for r := range 20 {
		id := fmt.Sprintf("202601%02d-000000-aaaaa", r+1)
		createRun(b, s, id)
		update(b, s, func(tx *Tx) error {
			for i := range 1000 {
				a := newAttempt(id, fmt.Sprintf("stage%04d", i), 1)
				rec := StageRecord{Run: id, Instance: a.Instance, Stage: a.Instance, Epoch: 1, Outcome: Running, Reason: "with.lora.r: 32 → 64", Fingerprint: strings.Repeat("f", 64)}
				if err := errors.Join(tx.PutAttempt(a), tx.PutStage(rec)); err != nil {
					return err
				}
			}
			return nil
		})
	}
	info, err := os.Stat(filepath.Join(dir, databaseName))
	if err != nil {
		b.Fatal(err)
	}
	b.Run("open and view", func(b *testing.B) {
		for b.Loop() {
			fresh := openStore(b, dir, Options{})
			view(b, fresh, func(tx *Tx) error { _, err := tx.Stages("20260110-000000-aaaaa"); return err })
		}
		b.ReportMetric(float64(info.Size())/(1<<20), "MiB")
	})
	b.Run("view", func(b *testing.B) {
		for b.Loop() {
			view(b, s, func(tx *Tx) error { _, err := tx.Run("20260110-000000-aaaaa"); return err })
		}
	})
	b.Run("update", func(b *testing.B) {
		a := newAttempt("20260110-000000-aaaaa", "stage0500", 1)
		for b.Loop() {
			update(b, s, func(tx *Tx) error { return tx.PutAttempt(a) })
		}
	})
}

func TestOpenErrorTellsScarcityFromDamage(t *testing.T) {
	for err, damage := range map[error]bool{
		syscall.ENOMEM: false, // of mmap, as bbolt hands it on
		&fs.PathError{Op: "open", Path: "state.db", Err: syscall.EMFILE}: false,
		errors.New("invalid database"):                                   true,
	} {
		got := openError("state.db", err)
		if errors.Is(got, ErrDamaged) != damage || !damage && !errors.Is(got, err) {
			t.Errorf("%v became %v", err, got)
		}
	}
}
