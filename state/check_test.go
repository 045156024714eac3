package state

import (
	"context"
	"errors"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
)

// TestCheckTellsLeftoversFromDamage: each thing that can lie about, alone, with the
// severity and the code it has.
func TestCheckTellsLeftoversFromDamage(t *testing.T) {
	const run = "20260102-030402-aaaaa" // the last, whose outputs the cache offers
	done := func(dir string) string { return AttemptDir(dir, run, "stage00", 1) }
	verify := func(folder string) error {
		if _, err := os.Stat(filepath.Join(folder, "bad")); err == nil {
			return errors.New("out: its sha256 is another")
		}
		return nil
	}
	write := func(path string) error {
		return errors.Join(os.MkdirAll(filepath.Dir(path), 0o777), os.WriteFile(path, []byte("x"), 0o666))
	}
	for name, c := range map[string]struct {
		change   func(dir string) error
		severity Severity
		code     string
	}{
		"attempt nobody knows": {func(dir string) error { return os.MkdirAll(AttemptDir(dir, run, "stage00", 2), 0o777) }, Note, CodeAttemptUnknown},
		"run nobody knows":     {func(dir string) error { return os.MkdirAll(RunDir(dir, "20270101-000000-aaaaa"), 0o777) }, Note, CodeRunUnknown},
		"lock nobody holds":    {func(dir string) error { return write(filepath.Join(dir, locksName, "fp")) }, Note, CodeLock},
		"half-made database":   {func(dir string) error { return write(filepath.Join(dir, databaseName+".new")) }, Note, CodeDatabaseNew},
		"database moved aside": {func(dir string) error { return write(filepath.Join(dir, databaseName+".damaged-1")) }, Note, CodeDatabaseAside},
		"outputs lost":         {func(dir string) error { return os.RemoveAll(done(dir)) }, Damage, CodeAttemptMissing},
		"outputs made again":   {func(dir string) error { return os.RemoveAll(AttemptDir(dir, "20260102-030400-aaaaa", "stage00", 1)) }, Note, CodeAttemptMissing},
		"outputs changed":      {func(dir string) error { return write(filepath.Join(done(dir), "bad")) }, Damage, CodeAttemptDamaged},
		"run's folder lost":    {func(dir string) error { return os.RemoveAll(RunDir(dir, run)) }, Damage, CodeRunMissing},
		"journal lost":         {func(dir string) error { return os.Remove(JournalPath(dir, run)) }, Damage, CodeJournalMissing},
		"checkpoint lost": {func(dir string) error {
			return withStore(dir, func(s *Store) error {
				return s.Update(context.Background(), func(tx *Tx) error {
					a, err := tx.Attempt(run, "stage03", 1)
					if err != nil {
						return err
					}
					a.Checkpoints = []CheckpointRecord{{Step: 7, Path: "runs/x"}}
					return tx.PutAttempt(a)
				})
			})
		}, Note, CodeCheckpointMissing},
	} {
		t.Run(name, func(t *testing.T) {
			dir, _ := filledState(t)
			before := check(t, dir, CheckOptions{VerifyAttempt: verify})
			if err := c.change(dir); err != nil {
				t.Fatal(err)
			}
			after := check(t, dir, CheckOptions{VerifyAttempt: verify})
			var news []Finding
			for _, f := range after {
				if !slices.Contains(before, f) {
					news = append(news, f)
				}
			}
			if len(news) != 1 || news[0].Severity != c.severity || news[0].Code != c.code {
				t.Errorf("new findings %+v", news)
			}
			if len(news) > 0 && (filepath.IsAbs(news[0].Path) || strings.Contains(news[0].Path, `\`)) {
				t.Errorf("path %q", news[0].Path)
			}
		})
	}
}

// TestCheckLeavesALiveRunAlone: what an engine is just doing is no finding.
func TestCheckLeavesALiveRunAlone(t *testing.T) {
	dir, _ := filledState(t)
	ids, err := runFolders(dir)
	if err != nil {
		t.Fatal(err)
	}
	if err := os.MkdirAll(AttemptDir(dir, ids[0], "stage00", 2), 0o777); err != nil {
		t.Fatal(err)
	}
	for _, id := range ids {
		lock, err := LockRun(dir, id, Self("so8t run", id))
		if err != nil {
			t.Fatal(err)
		}
		defer lock.Release()
	}
	if findings := check(t, dir, CheckOptions{}); len(findings) > 0 {
		t.Errorf("findings %+v", findings)
	}
	var held *HeldError
	if _, err := repair(dir, nil); !errors.As(err, &held) {
		t.Errorf("repair beside a live engine: %v", err)
	}
	if err := withStore(dir, func(s *Store) error { return s.rebuild(context.Background()) }); !errors.Is(err, ErrHeld) {
		t.Errorf("rebuild beside a live engine: %v", err)
	}
}

// TestRepairMovesDamagedOutputsAside: and deletes nothing.
func TestRepairMovesDamagedOutputsAside(t *testing.T) {
	dir, _ := filledState(t)
	folder := AttemptDir(dir, "20260102-030400-aaaaa", "stage00", 1)
	if err := os.WriteFile(filepath.Join(folder, "out"), []byte("precious"), 0o666); err != nil {
		t.Fatal(err)
	}
	verify := func(f string) error {
		if f == folder {
			return errors.New("out is not what it was")
		}
		return nil
	}
	findings := check(t, dir, CheckOptions{VerifyAttempt: verify})
	if _, err := repair(dir, findings); err != nil {
		t.Fatal(err)
	}
	b, err := os.ReadFile(filepath.Join(folder+".damaged-1", "out"))
	if err != nil || string(b) != "precious" {
		t.Errorf("%q, %v", b, err)
	}
	for _, f := range check(t, dir, CheckOptions{VerifyAttempt: verify}) {
		if f.Severity == Damage {
			t.Errorf("still damage after the repair: %+v", f)
		}
	}
}

// TestNewerSchemaIsNoDamage: check and repair refuse it too, instead of rebuilding.
func TestNewerSchemaIsNoDamage(t *testing.T) {
	dir, _ := filledState(t)
	s := openStore(t, dir, Options{})
	update(t, s, func(tx *Tx) error { return tx.put(bucketMeta, keySchema, 9) })
	if _, err := Check(context.Background(), dir, CheckOptions{}); !errors.Is(err, ErrTooNew) {
		t.Errorf("check: %v", err)
	}
	for _, f := range []func(context.Context, func(*Tx) error) error{s.View, s.Update} {
		err := f(context.Background(), func(*Tx) error { t.Error("got in"); return nil })
		if !errors.Is(err, ErrTooNew) || !strings.Contains(err.Error(), "version 9") {
			t.Errorf("got %v", err)
		}
	}
}

// TestRepairForgetsLostOutputs: what somebody deleted is damage until it is repaired or made
// again, not for ever; what is left of the cache stays, also in the journals.
func TestRepairForgetsLostOutputs(t *testing.T) {
	const run = "20260102-030402-aaaaa"
	for name, c := range map[string]struct {
		lost  func(dir string) string
		stays int // entries of the cache
	}{
		"an attempt": {func(dir string) string { return AttemptDir(dir, run, "stage00", 1) }, -1},
		"a run":      {func(dir string) string { return RunDir(dir, run) }, 0},
	} {
		t.Run(name, func(t *testing.T) {
			dir, _ := filledState(t)
			before := cachedBy(t, dir, run)
			if before < 2 {
				t.Fatalf("the cache has %d entries of the run", before)
			}
			if err := os.RemoveAll(c.lost(dir)); err != nil {
				t.Fatal(err)
			}
			want := c.stays
			if want < 0 {
				want = before - 1
			}
			done, err := repair(dir, check(t, dir, CheckOptions{}))
			if err != nil || len(done) == 0 {
				t.Fatalf("%q, %v", done, err)
			}
			for _, f := range check(t, dir, CheckOptions{}) {
				if f.Severity == Damage {
					t.Errorf("still damage after the repair: %+v", f)
				}
			}
			if got := cachedBy(t, dir, run); got != want {
				t.Errorf("%d entries of the run are left, want %d", got, want)
			}
			if err := withStore(dir, func(s *Store) error { return s.rebuild(context.Background()) }); err != nil {
				t.Fatal(err)
			}
			if got := cachedBy(t, dir, run); got != want {
				t.Errorf("%d entries of the run come back from the journals, want %d", got, want)
			}
		})
	}
}

// cachedBy counts the entries of the cache that a run made.
func cachedBy(t *testing.T, dir, run string) (n int) {
	t.Helper()
	err := withStore(dir, func(s *Store) error {
		return s.View(context.Background(), func(tx *Tx) error {
			all, err := readAll(tx)
			if err != nil {
				return err
			}
			for _, e := range all.cache {
				if e.Run == run {
					n++
				}
			}
			return nil
		})
	})
	if err != nil {
		t.Fatal(err)
	}
	return n
}
