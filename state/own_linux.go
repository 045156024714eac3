package state

import (
	"errors"
	"os"

	"golang.org/x/sys/unix"
)

// Locks that are held for long are locks of the open file description (OFD): like flock
// they die with the process and not with another descriptor of the file, and unlike
// flock they can be asked about without being taken.

func ownership() *unix.Flock_t {
	return &unix.Flock_t{Type: unix.F_WRLCK, Whence: 0, Start: 0, Len: 1}
}

// tryOwn takes the file's lock if it is free.
func tryOwn(f *os.File) (bool, error) {
	err := fcntl(f, unix.F_OFD_SETLK, ownership())
	if errors.Is(err, unix.EAGAIN) || errors.Is(err, unix.EACCES) {
		return false, nil
	}
	return err == nil, err
}

// own waits for the file's lock.
func own(f *os.File) error { return fcntl(f, unix.F_OFD_SETLKW, ownership()) }

// disown releases explicitly; a child that is being started may have a copy of f.
func disown(f *os.File) error {
	l := ownership()
	l.Type = unix.F_UNLCK
	return fcntl(f, unix.F_OFD_SETLK, l)
}

// isOwned asks whether another open file holds the lock.
func isOwned(f *os.File) (bool, error) {
	l := ownership()
	if err := fcntl(f, unix.F_OFD_GETLK, l); err != nil {
		return false, err
	}
	return l.Type != unix.F_UNLCK, nil
}

func fcntl(f *os.File, cmd int, l *unix.Flock_t) error {
	for {
		err := unix.FcntlFlock(f.Fd(), cmd, l)
		if !errors.Is(err, unix.EINTR) {
			if err != nil {
				return &os.PathError{Op: "lock", Path: f.Name(), Err: err}
			}
			return nil
		}
	}
}
