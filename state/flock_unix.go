//go:build unix && !solaris && !aix

package state

import (
	"errors"
	"os"

	"golang.org/x/sys/unix"
)

func lockMode(exclusive bool) int {
	if exclusive {
		return unix.LOCK_EX
	}
	return unix.LOCK_SH
}

// lockFile waits for the file's flock.
func lockFile(f *os.File, exclusive bool) error {
	return flock(f, lockMode(exclusive))
}

// tryLockFile takes the file's flock if it is free.
func tryLockFile(f *os.File, exclusive bool) (bool, error) {
	err := flock(f, lockMode(exclusive)|unix.LOCK_NB)
	if errors.Is(err, unix.EWOULDBLOCK) {
		return false, nil
	}
	return err == nil, err
}

func unlockFile(f *os.File) error { return flock(f, unix.LOCK_UN) }

func flock(f *os.File, how int) error {
	for {
		err := unix.Flock(int(f.Fd()), how)
		if !errors.Is(err, unix.EINTR) {
			if err != nil {
				return &os.PathError{Op: "flock", Path: f.Name(), Err: err}
			}
			return nil
		}
	}
}

// syncDir makes the names in a folder durable.
func syncDir(path string) error {
	d, err := os.Open(path)
	if err != nil {
		return err
	}
	err = d.Sync()
	if closeErr := d.Close(); err == nil {
		err = closeErr
	}
	return err
}
