package state

import (
	"errors"
	"os"

	"golang.org/x/sys/windows"
)

// lockOffset is where a lock lies: beyond what the files hold, for a locked range of
// Windows cannot be read by others.
const lockOffset = 1 << 30

func lockRange() *windows.Overlapped {
	return &windows.Overlapped{Offset: lockOffset}
}

func lockMode(exclusive bool) uint32 {
	if exclusive {
		return windows.LOCKFILE_EXCLUSIVE_LOCK
	}
	return 0
}

// lockFile waits for the file's lock.
func lockFile(f *os.File, exclusive bool) error {
	err := windows.LockFileEx(windows.Handle(f.Fd()), lockMode(exclusive), 0, 1, 0, lockRange())
	return lockError(f, err)
}

// tryLockFile takes the file's lock if it is free.
func tryLockFile(f *os.File, exclusive bool) (bool, error) {
	err := windows.LockFileEx(windows.Handle(f.Fd()), lockMode(exclusive)|windows.LOCKFILE_FAIL_IMMEDIATELY, 0, 1, 0, lockRange())
	if errors.Is(err, windows.ERROR_LOCK_VIOLATION) {
		return false, nil
	}
	return err == nil, lockError(f, err)
}

func unlockFile(f *os.File) error {
	return lockError(f, windows.UnlockFileEx(windows.Handle(f.Fd()), 0, 1, 0, lockRange()))
}

func lockError(f *os.File, err error) error {
	if err != nil {
		return &os.PathError{Op: "lock", Path: f.Name(), Err: err}
	}
	return nil
}

// syncDir has no counterpart on Windows, where names are durable with their files.
func syncDir(string) error { return nil }
