package state

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"runtime"

	"github.com/rogpeppe/go-internal/robustio"
)

// Removed is something that a collection took away, or would.
type Removed struct {
	Path  string // relative to the state folder, with slashes
	Bytes int64
	Why   string
}

// gcCommand is how a collection calls itself in the locks that it holds.
const gcCommand = "so8t gc"

// collection is one run of Collect. What is to go is renamed into the trash, which is deleted
// at the end, and at the beginning of the next collection when this one is cut off.
type collection struct {
	s       *Store
	policy  GCPolicy
	removed []Removed
	// locks are held until what they protect lies in the trash.
	runLocks map[string]*RunLock
	finger   map[string]*FingerprintLock
	records  *allRecords
	aside    int // names in the trash that were given
}

// Collect removes runs by policy, and what nothing can use any more: what a collection or an
// import that was cut off left, folders that no record names, checkpoints of work that is
// done, locks that nobody holds, and digests of files that are gone.
//
// It works beside live engines. The records of what goes are deleted in one transaction, in
// which it is looked at once more whether a run that stays refers to it; a run's reference is
// committed with the run, and refused when what it refers to is gone. So either the reference
// is seen here, or its writer sees that there is nothing to refer to. Checkpoints are under the
// lock of their fingerprint, which an engine holds before it chooses one.
func (s *Store) Collect(ctx context.Context, policy GCPolicy) ([]Removed, error) {
	c := &collection{s: s, policy: policy, runLocks: map[string]*RunLock{}, finger: map[string]*FingerprintLock{}}
	only, err := waitLock(ctx, filepath.Join(s.dir, collectName), true)
	if err != nil {
		return nil, fmt.Errorf("waiting for another collection: %w", err)
	}
	defer unlockAndClose(only)
	defer c.unlock()
	for _, step := range []func(context.Context) error{
		c.emptyTrash, c.runs, c.strays, c.leftovers, c.emptyTrashAgain,
	} {
		if err := step(ctx); err != nil {
			return c.removed, fmt.Errorf("collecting: %w", err)
		}
	}
	return c.removed, nil
}

func (c *collection) unlock() {
	for _, l := range c.runLocks {
		_ = l.Release()
	}
	for _, l := range c.finger {
		_ = l.Release()
	}
	clear(c.runLocks)
	clear(c.finger)
}

// emptyTrash deletes what an earlier collection, or an import, left when it was cut off.
func (c *collection) emptyTrash(context.Context) error {
	for _, folder := range []string{trashName, incomingName} {
		entries, err := readFolder(filepath.Join(c.s.dir, folder))
		if err != nil {
			return err
		}
		for _, e := range entries {
			path := filepath.Join(c.s.dir, folder, e.Name())
			lock, free, err := (*RunLock)(nil), true, error(nil)
			if folder == incomingName {
				lock, free, err = c.lockIncoming(path)
			}
			if err != nil {
				return err
			}
			if !free {
				continue // an import is at work
			}
			c.remember(path, "left by a collection or an import that was cut off")
			if err := errors.Join(c.delete(path), lock.Release()); err != nil {
				return err
			}
		}
	}
	return nil
}

// lockIncoming takes the lock of a folder that nobody imports into, so that nobody begins to before it
// is gone: whoever made it a moment ago takes another then. Windows removes no folder that holds an
// open file; there the lock is given up again.
func (c *collection) lockIncoming(folder string) (lock *RunLock, free bool, err error) {
	file := filepath.Join(folder, runLockName)
	if c.policy.DryRun {
		return nil, !lockedFile(file), nil
	}
	lock, err = lockRunFile(file, filepath.Base(folder), Self(gcCommand, ""))
	if errors.Is(err, ErrHeld) {
		return nil, false, nil
	}
	if err == nil && runtime.GOOS == "windows" {
		err = lock.Release()
	}
	return lock, err == nil, err
}

// emptyTrashAgain deletes what this collection has put there.
func (c *collection) emptyTrashAgain(context.Context) error {
	c.unlock() // deleting may take long
	if c.policy.DryRun {
		return nil
	}
	entries, err := readFolder(filepath.Join(c.s.dir, trashName))
	if err != nil {
		return err
	}
	for _, e := range entries {
		if err := c.delete(filepath.Join(c.s.dir, trashName, e.Name())); err != nil {
			return err
		}
	}
	return nil
}

func (c *collection) delete(path string) error {
	if c.policy.DryRun {
		return nil
	}
	if err := c.s.beforeCommit("remove " + filepath.Base(path)); err != nil {
		return err
	}
	return os.RemoveAll(path)
}

// remember adds a file or folder to what was removed.
func (c *collection) remember(path, why string) {
	rel, err := filepath.Rel(c.s.dir, path)
	if err != nil {
		rel = path
	}
	c.removed = append(c.removed, Removed{filepath.ToSlash(rel), sizeOf(path), why})
}

// trash takes a file or folder out of sight at once; it is deleted later.
func (c *collection) trash(path, why string) error {
	c.remember(path, why)
	return c.hide(path)
}

// hide renames a path into the trash.
func (c *collection) hide(path string) error {
	if c.policy.DryRun {
		return nil
	}
	trash := filepath.Join(c.s.dir, trashName)
	if err := os.MkdirAll(trash, 0o777); err != nil {
		return err
	}
	if err := c.s.beforeCommit("rename " + trashName + " " + filepath.Base(path)); err != nil {
		return err
	}
	c.aside++
	// Empty but for what this collection put there: nobody else writes here.
	err := robustio.Rename(path, filepath.Join(trash, fmt.Sprintf("%d-%s", c.aside, filepath.Base(path))))
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	return err
}

// lockRun takes the lock of a run that is to go, or to lose something; false when it is held.
// A dry run only asks. A run without a folder has no lock, and needs none.
func (c *collection) lockRun(id string) (bool, error) {
	if c.runLocks[id] != nil {
		return true, nil
	}
	if c.policy.DryRun {
		_, alive, err := Query(c.s.dir, id)
		return !alive, err
	}
	if _, err := os.Stat(RunDir(c.s.dir, id)); errors.Is(err, fs.ErrNotExist) {
		return true, nil
	}
	lock, err := LockRun(c.s.dir, id, Self(gcCommand, id))
	var held *HeldError
	if errors.As(err, &held) {
		return false, nil
	}
	if err == nil {
		c.runLocks[id] = lock
	}
	return err == nil, err
}

// lockFingerprint takes the lock under which checkpoints are chosen; false when it is held.
func (c *collection) lockFingerprint(fingerprint string) (bool, error) {
	if c.finger[fingerprint] != nil || c.policy.DryRun {
		return true, nil
	}
	lock, err := tryFingerprint(fingerprintPath(c.s.dir, fingerprint), Self(gcCommand, ""))
	if lock != nil {
		c.finger[fingerprint] = lock
	}
	return lock != nil, err
}

// releaseOnWindows gives a run's lock up. Windows renames no folder that holds an open file, so there
// the lock is given up before its folder goes; nothing is lost by that, for the run's records
// are gone already.
func (c *collection) releaseOnWindows(id string) {
	if l := c.runLocks[id]; l != nil && runtime.GOOS == "windows" {
		_ = l.Release()
		delete(c.runLocks, id)
	}
}

// strays are run folders without a run and attempt folders without an attempt.
func (c *collection) strays(ctx context.Context) error {
	ids, err := runFolders(c.s.dir)
	if err != nil {
		return err
	}
	known := map[string]bool{}
	for _, r := range c.records.runs {
		known[r.ID] = true
	}
	for _, id := range ids {
		stray := c.strayAttempts
		if !known[id] {
			stray = c.strayRun
		}
		if err := stray(ctx, id); err != nil {
			return err
		}
	}
	return nil
}

// strayRun removes the folder of a run that was never committed, or is no more. Under its lock:
// an engine that is making the run holds it, or finds that its folder is gone and begins anew.
func (c *collection) strayRun(ctx context.Context, id string) error {
	free, err := c.lockRun(id)
	if err != nil || !free {
		return err
	}
	found := false
	err = c.s.View(ctx, func(t *Tx) error {
		_, err := t.Run(id)
		found = err == nil
		if errors.Is(err, ErrNoRun) {
			return nil
		}
		return err
	})
	if err != nil || found {
		return err
	}
	// Work without records, of a run whose journal is lost as well, is left for somebody to look at.
	attempts, err := attemptFolders(c.s.dir, id, func(string) bool { return true })
	if err != nil {
		return err
	}
	if _, err := os.Stat(JournalPath(c.s.dir, id)); errors.Is(err, fs.ErrNotExist) && len(attempts) > 0 {
		return nil
	}
	c.releaseOnWindows(id)
	return c.trash(RunDir(c.s.dir, id), "no run of this id")
}

// strayAttempts removes folders of attempts that were never begun.
func (c *collection) strayAttempts(ctx context.Context, id string) error {
	strays, err := c.unrecorded(id, c.records.attemptsOf(id))
	if err != nil || len(strays) == 0 {
		return err
	}
	free, err := c.lockRun(id)
	if err != nil || !free {
		return err
	}
	// Without an engine what is read now stays so.
	err = c.s.View(ctx, func(t *Tx) error {
		attempts, err := t.RunAttempts(id)
		if err != nil {
			return err
		}
		strays, err = c.unrecorded(id, attempts)
		return err
	})
	if err != nil {
		return err
	}
	for _, path := range strays {
		if err := c.trash(path, "no attempt of this number"); err != nil {
			return err
		}
	}
	return nil
}

// unrecorded are the folders of attempts of a run that are not among the recorded ones.
func (c *collection) unrecorded(id string, attempts []Attempt) ([]string, error) {
	known := map[string]bool{}
	for _, a := range attempts {
		known[AttemptDir(c.s.dir, id, a.Instance, a.Number)] = true
	}
	return attemptFolders(c.s.dir, id, func(path string) bool { return !known[path] })
}

// leftovers are the locks that nobody holds and the databases that were being made.
func (c *collection) leftovers(ctx context.Context) error {
	locks, err := readFolder(filepath.Join(c.s.dir, locksName))
	if err != nil {
		return err
	}
	for _, e := range locks {
		path := filepath.Join(c.s.dir, locksName, e.Name())
		if lockedFile(path) { // also by us
			continue
		}
		c.remember(path, "a lock that nobody holds")
		if c.policy.DryRun {
			continue
		}
		lock, err := tryFingerprint(path, Self(gcCommand, ""))
		if err != nil {
			return err
		}
		_ = lock.Release() // which removes the file, while it is ours
	}
	release, err := c.s.takeTurn(ctx, true) // whoever makes a database holds it
	if err != nil {
		return err
	}
	defer release()
	for _, pattern := range []string{".new", ".rebuilt*"} {
		paths, err := filepath.Glob(c.s.databasePath() + pattern)
		if err != nil {
			return err
		}
		for _, p := range paths {
			if err := c.trash(p, "a database that was being made"); err != nil {
				return err
			}
		}
	}
	return nil
}

// lockedFile reports whether somebody holds the lock of a file.
func lockedFile(path string) bool {
	f, err := os.Open(path)
	if err != nil {
		return false
	}
	defer f.Close()
	owned, err := isOwned(f)
	return err != nil || owned
}

// readFolder lists a folder; one that is not there is empty.
func readFolder(path string) ([]fs.DirEntry, error) {
	entries, err := os.ReadDir(path)
	if errors.Is(err, fs.ErrNotExist) {
		return nil, nil
	}
	return entries, err
}

// sizeOf sums the sizes of the files at and below path, as far as they can be read.
func sizeOf(path string) int64 {
	var total int64
	_ = filepath.WalkDir(path, func(_ string, e fs.DirEntry, err error) error {
		if err == nil && e.Type().IsRegular() {
			if info, err := e.Info(); err == nil {
				total += info.Size()
			}
		}
		return nil
	})
	return total
}
