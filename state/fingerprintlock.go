package state

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"runtime"
)

// FingerprintLock is held while a fingerprint is worked on, so that two runs do not do
// the same work at once.
type FingerprintLock struct {
	file *os.File
	path string
}

// LockFingerprint waits until no other process works on the fingerprint, or ctx ends.
// onWait, when set, is called when there is something to wait for, with the process that
// has it. Whoever waited should look into the cache again.
func LockFingerprint(ctx context.Context, dir, fingerprint string, holder Holder, onWait func(Holder)) (*FingerprintLock, error) {
	path := fingerprintPath(dir, fingerprint)
	for {
		f, err := ownWaiting(ctx, path, onWait)
		if err != nil {
			return nil, fmt.Errorf("waiting for the lock of fingerprint %s: %w", fingerprint, err)
		}
		// Who releases the lock removes its file. Then this one is no longer what
		// others find under the name.
		if !sameFile(f, path) {
			disownAndClose(f)
			continue
		}
		if err := writeHolder(f, holder); err != nil {
			disownAndClose(f)
			return nil, fmt.Errorf("writing the lock of fingerprint %s: %w", fingerprint, err)
		}
		return &FingerprintLock{file: f, path: path}, nil
	}
}

func fingerprintPath(dir, fingerprint string) string {
	return filepath.Join(dir, locksName, FolderName(fingerprint))
}

// tryFingerprint takes the lock that lies at path if it is free; nil when it is not.
func tryFingerprint(path string, holder Holder) (*FingerprintLock, error) {
	for {
		f, err := os.OpenFile(path, os.O_RDWR|os.O_CREATE, 0o666)
		if err != nil {
			return nil, fmt.Errorf("locking a fingerprint: %w", err)
		}
		got, err := tryOwn(f)
		if err != nil || !got {
			return nil, errors.Join(err, f.Close())
		}
		if !sameFile(f, path) {
			disownAndClose(f)
			continue
		}
		if err := writeHolder(f, holder); err != nil {
			disownAndClose(f)
			return nil, fmt.Errorf("locking a fingerprint: %w", err)
		}
		return &FingerprintLock{file: f, path: path}, nil
	}
}

// Release gives the lock up and removes its file.
func (l *FingerprintLock) Release() error {
	if l == nil || l.file == nil {
		return nil
	}
	err := os.Remove(l.path) // while it is ours
	released := l.GiveUp()
	if err != nil && runtime.GOOS == "windows" {
		// Which removes no file that somebody has open, so it could not be done before and does
		// no harm to the next holder now. What stays is small and found again.
		_ = os.Remove(l.path)
	}
	return released
}

// GiveUp gives the lock up and leaves its file to RemoveLock. A run that made and removed a file
// for each of thousands of stages would wait for file systems that look past what was removed in
// the last seconds before they make the next.
func (l *FingerprintLock) GiveUp() error {
	if l == nil || l.file == nil {
		return nil
	}
	err := disown(l.file)
	if closeErr := l.file.Close(); err == nil {
		err = closeErr
	}
	l.file = nil
	return err
}

// RemoveLock removes the file that GiveUp left, unless somebody holds the lock by now.
func RemoveLock(dir, fingerprint string) error {
	path := filepath.Join(dir, locksName, FolderName(fingerprint))
	f, err := os.OpenFile(path, os.O_RDWR, 0o666)
	if errors.Is(err, os.ErrNotExist) {
		return nil
	}
	if err != nil {
		return err
	}
	got, err := tryOwn(f)
	if !got || err != nil {
		return errors.Join(err, f.Close())
	}
	lock := &FingerprintLock{file: f, path: path}
	if !sameFile(f, path) {
		return lock.GiveUp()
	}
	return lock.Release()
}

func ownWaiting(ctx context.Context, path string, onWait func(Holder)) (*os.File, error) {
	if err := ctx.Err(); err != nil {
		return nil, err
	}
	if err := os.MkdirAll(filepath.Dir(path), 0o777); err != nil {
		return nil, err
	}
	f, err := os.OpenFile(path, os.O_RDWR|os.O_CREATE, 0o666)
	if err != nil {
		return nil, err
	}
	got, err := tryOwn(f)
	if err != nil {
		_ = f.Close()
		return nil, err
	}
	if got {
		return f, nil
	}
	if onWait != nil {
		onWait(readHolder(f))
	}
	result := make(chan error, 1)
	go func() { result <- own(f) }()
	select {
	case err := <-result:
		if err != nil {
			_ = f.Close()
			return nil, err
		}
		return f, nil
	case <-ctx.Done():
		// The kernel's wait cannot be called off; when it ends, so does the lock.
		go func() {
			<-result //nolint:errcheck // nobody waits any more
			disownAndClose(f)
		}()
		return nil, ctx.Err()
	}
}

func sameFile(f *os.File, path string) bool {
	mine, err := f.Stat()
	if err != nil {
		return false
	}
	named, err := os.Stat(path)
	return err == nil && os.SameFile(mine, named)
}
