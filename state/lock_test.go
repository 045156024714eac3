package state

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"runtime"
	"strings"
	"sync/atomic"
	"testing"
	"time"
)

func TestRunLockBetweenProcesses(t *testing.T) {
	dir := t.TempDir()
	if _, alive, err := Query(dir, testRun); alive || err != nil {
		t.Fatalf("before anything: %v, %v", alive, err)
	}
	c := startRole(t, "hold-run", dir, testRun)
	holder, alive, err := Query(dir, testRun)
	if err != nil || !alive || holder.PID != c.cmd.Process.Pid || holder.Command != "so8t run test.yaml" {
		t.Errorf("while it lives: %+v, %v, %v", holder, alive, err)
	}
	var held *HeldError
	if _, err := LockRun(dir, testRun, Self("me", testRun)); !errors.As(err, &held) || held.Holder.PID != c.cmd.Process.Pid {
		t.Errorf("second engine: %v", err)
	} else if text := err.Error(); !strings.Contains(text, fmt.Sprint("process ", c.cmd.Process.Pid)) {
		t.Errorf("%q does not name the process", text)
	}
	before, err := os.Stat(filepath.Join(RunDir(dir, testRun), runLockName))
	if err != nil {
		t.Fatal(err)
	}
	c.kill(t)
	holder, alive, err = Query(dir, testRun)
	if err != nil || alive || holder.PID != c.cmd.Process.Pid {
		t.Errorf("killed: %+v, %v, %v", holder, alive, err)
	}
	lock, err := LockRun(dir, testRun, Self("me", testRun))
	if err != nil {
		t.Fatalf("at once after the kill: %v", err)
	}
	after, err := os.Stat(filepath.Join(RunDir(dir, testRun), runLockName))
	if err != nil || !os.SameFile(before, after) {
		t.Errorf("the lock's file was replaced, %v", err)
	}
	holder, alive, err = Query(dir, testRun)
	if err != nil || !alive || holder.PID != os.Getpid() {
		t.Errorf("taken: %+v, %v, %v", holder, alive, err)
	}
	if err := lock.Release(); err != nil {
		t.Fatal(err)
	}
	if _, alive, err := Query(dir, testRun); alive || err != nil {
		t.Errorf("released: %v, %v", alive, err)
	}
}

// TestRunLockOutlivesItsProcess: an engine is killed while it starts a plugin, and the plugin, not
// yet itself, has a copy of the lock's file. Nobody is told that the engine lives, and whoever goes
// on waits for that moment instead of being refused.
func TestRunLockOutlivesItsProcess(t *testing.T) {
	if runtime.GOOS != "linux" {
		t.Skip("elsewhere a lock is not asked about without being taken")
	}
	dir := t.TempDir()
	c := startRole(t, "hold-run", dir, testRun)
	c.kill(t)
	f, err := os.OpenFile(filepath.Join(RunDir(dir, testRun), runLockName), os.O_RDWR, 0)
	if err != nil {
		t.Fatal(err)
	}
	if got, err := tryOwn(f); !got || err != nil { // the copy, as far as others can tell
		t.Fatal(got, err)
	}
	if _, alive, err := Query(dir, testRun); alive || err != nil {
		t.Errorf("killed: %v, %v", alive, err)
	}
	locked := make(chan error, 1)
	go func() {
		lock, err := LockRun(dir, testRun, Self("me", testRun))
		if err == nil {
			err = lock.Release()
		}
		locked <- err
	}()
	runtime.Gosched()
	disownAndClose(f)
	if err := <-locked; err != nil {
		t.Error(err)
	}
}

// TestQueryNeverDisturbs: an engine gets its lock while others ask about it all the time.
func TestQueryNeverDisturbs(t *testing.T) {
	dir := t.TempDir()
	stop, done := make(chan struct{}), make(chan error, 1)
	go func() {
		for {
			select {
			case <-stop:
				done <- nil
				return
			default:
				if _, _, err := Query(dir, testRun); err != nil {
					done <- err
					return
				}
			}
		}
	}()
	for range 300 {
		lock, err := LockRun(dir, testRun, Self("me", testRun))
		if err != nil {
			t.Fatal(err)
		}
		if err := lock.Release(); err != nil {
			t.Fatal(err)
		}
	}
	close(stop)
	if err := <-done; err != nil {
		t.Error(err)
	}
}

func TestFingerprintLockWaitsAndSaysForWhom(t *testing.T) {
	dir := t.TempDir()
	c := startRole(t, "hold-fingerprint", dir, "fp1")
	waiting := make(chan Holder, 1)
	got := make(chan error, 1)
	go func() {
		lock, err := LockFingerprint(context.Background(), dir, "fp1", Self("me", "r2"), func(h Holder) { waiting <- h })
		if err == nil {
			err = lock.Release()
		}
		got <- err
	}()
	if h := <-waiting; h.PID != c.cmd.Process.Pid || h.Run != testRun {
		t.Errorf("waits for %+v", h)
	}
	ctx, cancel := context.WithTimeout(context.Background(), 30*time.Millisecond)
	defer cancel()
	if _, err := LockFingerprint(ctx, dir, "fp1", Self("me", "r3"), nil); !errors.Is(err, context.DeadlineExceeded) {
		t.Errorf("with a limit: %v", err)
	}
	other, err := LockFingerprint(context.Background(), dir, "fp2", Self("me", "r2"), func(Holder) { t.Error("waits for another fingerprint") })
	if err != nil {
		t.Fatal(err)
	}
	if err := other.Release(); err != nil {
		t.Error(err)
	}
	c.kill(t)
	if err := <-got; err != nil {
		t.Error(err)
	}
}

// TestFingerprintLockExcludes: many goroutines, one inside at a time, though the file is
// removed at each release.
func TestFingerprintLockExcludes(t *testing.T) {
	dir := t.TempDir()
	var inside, entered atomic.Int32
	errs := make(chan error)
	const n, rounds = 8, 25
	for range n {
		go func() {
			var err error
			for range rounds {
				var lock *FingerprintLock
				if lock, err = LockFingerprint(context.Background(), dir, "fp", Self("me", "r"), nil); err != nil {
					break
				}
				if inside.Add(1) > 1 {
					err = errors.New("two are inside")
				}
				entered.Add(1)
				inside.Add(-1)
				if err != nil {
					break
				}
				if err = lock.Release(); err != nil {
					break
				}
			}
			errs <- err
		}()
	}
	for range n {
		if err := <-errs; err != nil {
			t.Error(err)
		}
	}
	if entered.Load() != n*rounds {
		t.Errorf("%d entered, want %d", entered.Load(), n*rounds)
	}
}

// TestRemoveLock: what GiveUp left goes, what somebody holds stays.
func TestRemoveLock(t *testing.T) {
	dir := t.TempDir()
	path := filepath.Join(dir, locksName, FolderName("fp"))
	lock, err := LockFingerprint(t.Context(), dir, "fp", Self("me", "r"), nil)
	if err != nil {
		t.Fatal(err)
	}
	if err := RemoveLock(dir, "fp"); err != nil {
		t.Fatal(err)
	}
	if _, err := os.Stat(path); err != nil {
		t.Errorf("a held lock: %v", err)
	}
	if err := lock.GiveUp(); err != nil {
		t.Fatal(err)
	}
	if _, err := os.Stat(path); err != nil {
		t.Errorf("a lock that was given up: %v", err)
	}
	for range 2 { // the second finds none
		if err := RemoveLock(dir, "fp"); err != nil {
			t.Fatal(err)
		}
	}
	if _, err := os.Stat(path); !os.IsNotExist(err) {
		t.Errorf("a lock that was removed: %v", err)
	}
}
