package state

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"math/rand/v2"
	"os"
	"path/filepath"
	"runtime"
	"sync"
	"testing"
	"time"
)

// filled is made once, for it takes some hundred syncs; see TestMain for its end.
var filled struct {
	once    sync.Once
	dir     string
	content []byte
}

// filledState returns a folder of its own with a state that has enough records for branch
// pages, overflow pages and a free list, and what is in it.
func filledState(t testing.TB) (dir string, content []byte) {
	t.Helper()
	filled.once.Do(func() {
		var err error
		if filled.dir, err = os.MkdirTemp("", "so8t-state-test-"); err != nil {
			t.Fatal(err)
		}
		fillState(t, filled.dir)
		if filled.content, err = contentOf(filled.dir); err != nil {
			t.Fatal(err)
		}
	})
	dir = t.TempDir()
	if err := os.CopyFS(dir, os.DirFS(filled.dir)); err != nil {
		t.Fatal(err)
	}
	return dir, filled.content
}

func fillState(t testing.TB, dir string) {
	t.Helper()
	s := openStore(t, dir, Options{})
	for i := range 3 {
		id := fmt.Sprintf("20260102-03040%d-aaaaa", i)
		createRun(t, s, id)
		for j := range 12 {
			instance := fmt.Sprintf("stage%02d", j)
			a := newAttempt(id, instance, 1)
			update(t, s, func(tx *Tx) error {
				rec := StageRecord{Run: id, Instance: instance, Stage: instance, Epoch: 1, Outcome: Running, Reason: string(bytes.Repeat([]byte("x"), 300*j))}
				if err := tx.PutStage(rec); err != nil {
					return err
				}
				return tx.PutAttempt(a)
			})
			if j%4 == 3 {
				continue
			}
			a.Outcome = Succeeded
			update(t, s, func(tx *Tx) error {
				if err := tx.PutAttempt(a); err != nil {
					return err
				}
				if err := tx.PutStage(StageRecord{Run: id, Instance: instance, Stage: instance, Epoch: 1, Outcome: Succeeded, Metrics: Metrics{"loss": 1.5}}); err != nil {
					return err
				}
				return tx.PutCache(CacheEntry{Fingerprint: a.Fingerprint, Run: id, Instance: instance, Attempt: 1, Epoch: 1, Time: testTime})
			})
			if err := os.MkdirAll(AttemptDir(dir, id, instance, 1), 0o777); err != nil {
				t.Fatal(err)
			}
		}
	}
}

// contentOf returns all records of a state as text.
func contentOf(dir string) ([]byte, error) {
	s, err := Open(dir, Options{})
	if err != nil {
		return nil, err
	}
	defer s.Close()
	ctx, cancel := context.WithTimeout(context.Background(), time.Minute)
	defer cancel()
	var all *allRecords
	err = s.View(ctx, func(tx *Tx) (err error) {
		all, err = readAll(tx)
		return err
	})
	if err != nil {
		return nil, err
	}
	if len(all.damaged) > 0 {
		return nil, &DamagedError{Path: dir, Reason: all.damaged[0]}
	}
	return json.Marshal([]any{all.runs, all.plans, all.stages, all.attempts, all.cache})
}

// damages are what is done to the database; each gives clear errors.
func damages(size int) map[string]func(b []byte) []byte {
	list := map[string]func(b []byte) []byte{
		"empty":           func([]byte) []byte { return nil },
		"text":            func([]byte) []byte { return bytes.Repeat([]byte("no database\n"), 4000) },
		"zeroed":          func(b []byte) []byte { clear(b); return b },
		"both meta pages": func(b []byte) []byte { clear(b[:8192]); return b },
	}
	for at := 1; at < size; at += size/40 + 1 {
		list[fmt.Sprintf("truncated to %d", at)] = func(b []byte) []byte { return b[:at] }
	}
	for page := 2; page*4096 < size; page += max(1, size/4096/25) {
		list[fmt.Sprintf("page %d zeroed", page)] = func(b []byte) []byte { clear(b[page*4096 : page*4096+4096]); return b }
	}
	return list
}

// TestDamagedDatabase: whatever happened to the file, the process lives, and either the
// records are as they were or the error is a *DamagedError; a write does no worse.
func TestDamagedDatabase(t *testing.T) {
	dir, content := filledState(t)
	whole, err := os.ReadFile(filepath.Join(dir, databaseName))
	if err != nil {
		t.Fatal(err)
	}
	must := map[string]bool{"empty": true, "text": true, "zeroed": true, "both meta pages": true}
	found := 0
	for name, damage := range damages(len(whole)) {
		broken := t.TempDir()
		if err := os.WriteFile(filepath.Join(broken, databaseName), damage(bytes.Clone(whole)), 0o666); err != nil {
			t.Fatal(err)
		}
		if survives(t, name, broken, content) {
			if must[name] {
				t.Errorf("%s: not noticed", name)
			}
		} else {
			found++
		}
	}
	if found < 10 {
		t.Errorf("only %d kinds of damage were noticed", found)
	}
}

// survives reads and writes a damaged state; true when nothing was noticed.
func survives(t *testing.T, name, dir string, content []byte) bool {
	t.Helper()
	got, err := contentOf(dir)
	var damaged *DamagedError
	switch {
	case err == nil && !bytes.Equal(got, content):
		t.Errorf("%s: other records without an error", name)
	case err != nil && !errors.As(err, &damaged):
		t.Errorf("%s: reading: %v", name, err)
	}
	s := openStore(t, dir, Options{})
	ctx, cancel := context.WithTimeout(context.Background(), time.Minute)
	defer cancel()
	writeErr := s.Update(ctx, func(tx *Tx) error {
		run, plan := newRun("20270102-030405-aaaaa")
		return tx.CreateRun(run, plan)
	})
	if writeErr != nil && !errors.As(writeErr, &damaged) {
		t.Errorf("%s: writing: %v", name, writeErr)
	}
	return err == nil
}

// TestBitFlips: a flipped bit anywhere is noticed, or changes nothing.
func TestBitFlips(t *testing.T) {
	dir, content := filledState(t)
	whole, err := os.ReadFile(filepath.Join(dir, databaseName))
	if err != nil {
		t.Fatal(err)
	}
	broken := t.TempDir()
	random := rand.New(rand.NewPCG(1, 2))
	noticed := 0
	const flips = 300
	for range flips {
		b := bytes.Clone(whole)
		at, bit := random.IntN(len(b)), random.IntN(8)
		b[at] ^= 1 << bit
		if err := os.WriteFile(filepath.Join(broken, databaseName), b, 0o666); err != nil {
			t.Fatal(err)
		}
		got, err := contentOf(broken)
		var damaged *DamagedError
		switch {
		case err == nil && !bytes.Equal(got, content):
			t.Errorf("bit %d of byte %d: other records without an error", bit, at)
		case errors.As(err, &damaged):
			noticed++
		case err != nil:
			t.Errorf("bit %d of byte %d: %v", bit, at, err)
		}
	}
	t.Logf("%d of %d flips noticed; the others lie in unused bytes", noticed, flips)
	if noticed == 0 {
		t.Error("no flip was noticed")
	}
}

func TestDatabaseIsAFolder(t *testing.T) {
	dir := t.TempDir()
	if err := os.Mkdir(filepath.Join(dir, databaseName), 0o777); err != nil {
		t.Fatal(err)
	}
	var damaged *DamagedError
	if _, err := contentOf(dir); !errors.As(err, &damaged) {
		t.Errorf("got %v", err)
	}
}

// TestFileCutWhileOpen: pages that vanish under an open database are an error, not SIGBUS.
func TestFileCutWhileOpen(t *testing.T) {
	if runtime.GOOS == "windows" {
		t.Skip("Windows cuts no file that is mapped")
	}
	dir, _ := filledState(t)
	s := openStore(t, dir, Options{})
	err := s.View(context.Background(), func(tx *Tx) error {
		if err := os.Truncate(filepath.Join(dir, databaseName), 4096); err != nil {
			return err
		}
		_, err := tx.Runs()
		return err
	})
	var damaged *DamagedError
	if !errors.As(err, &damaged) {
		t.Errorf("got %v", err)
	}
	// Neither this process nor another is kept waiting by what was left open.
	ctx, cancel := context.WithTimeout(context.Background(), time.Minute)
	defer cancel()
	if err := s.Update(ctx, func(*Tx) error { return nil }); !errors.As(err, &damaged) {
		t.Errorf("afterwards: %v", err)
	}
}

// TestRepair: every kind of damage to the database is found by Check and repaired, and
// the records are what they were.
func TestRepair(t *testing.T) {
	for name, damage := range map[string]func(path string) error{
		"truncated": func(path string) error { return os.Truncate(path, 9000) },
		"removed":   os.Remove,
		"empty":     func(path string) error { return os.Truncate(path, 0) },
		"folder": func(path string) error {
			return errors.Join(os.Remove(path), os.Mkdir(path, 0o777))
		},
		"zeroed in the middle": func(path string) error {
			b, err := os.ReadFile(path)
			if err != nil {
				return err
			}
			clear(b[8192:20480])
			return os.WriteFile(path, b, 0o666)
		},
	} {
		t.Run(name, func(t *testing.T) {
			dir, content := filledState(t)
			if err := damage(filepath.Join(dir, databaseName)); err != nil {
				t.Fatal(err)
			}
			findings := check(t, dir, CheckOptions{})
			if countDamage(findings) == 0 {
				t.Fatalf("not found: %+v", findings)
			}
			done, err := repair(dir, findings)
			if err != nil || len(done) == 0 {
				t.Fatalf("repair did %q, %v", done, err)
			}
			got, err := contentOf(dir)
			if err != nil || !bytes.Equal(got, content) {
				t.Errorf("after the repair (%v):\n%s\nwant\n%s", err, got, content)
			}
			if findings := check(t, dir, CheckOptions{}); countDamage(findings) > 0 {
				t.Errorf("after the repair: %+v", findings)
			}
		})
	}
}

func check(t testing.TB, dir string, opts CheckOptions) []Finding {
	t.Helper()
	findings, err := Check(context.Background(), dir, opts)
	if err != nil {
		t.Fatal(err)
	}
	return findings
}

func countDamage(findings []Finding) int {
	n := 0
	for _, f := range findings {
		if f.Severity == Damage {
			n++
		}
	}
	return n
}

func repair(dir string, findings []Finding) (done []string, err error) {
	err = withStore(dir, func(s *Store) error {
		done, err = s.Repair(context.Background(), findings)
		return err
	})
	return done, err
}
