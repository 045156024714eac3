//go:build !linux

package state

import (
	"os"
	"time"
)

// Here a lock cannot be asked about without being taken for a moment, so an owner that
// finds it taken looks again for longer than any question lasts.
const (
	questionTries = 20
	questionPause = 5 * time.Millisecond
)

// tryOwn takes the file's lock if it is free.
func tryOwn(f *os.File) (bool, error) {
	for range questionTries {
		if got, err := tryLockFile(f, true); got || err != nil {
			return got, err
		}
		time.Sleep(questionPause)
	}
	return false, nil
}

// own waits for the file's lock.
func own(f *os.File) error { return lockFile(f, true) }

func disown(f *os.File) error { return unlockFile(f) }

// isOwned asks whether another open file holds the lock.
func isOwned(f *os.File) (bool, error) {
	got, err := tryLockFile(f, false)
	if err != nil {
		return false, err
	}
	if got {
		return false, unlockFile(f)
	}
	return true, nil
}
