package state

import (
	"context"
	"fmt"
	"os"
	"path/filepath"
)

// takeTurn waits until this process may open the database: readers together, a writer
// alone. Everyone passes state.turn first, and a writer keeps it while it waits for the
// readers inside to leave and while it works; so no reader that comes later gets in
// before it, and it waits for one reading at most. Waiting is done by the kernel: bbolt's
// own lock looks every 50 ms, and a writer among busy readers would never see it free.
func (s *Store) takeTurn(ctx context.Context, write bool) (release func(), err error) {
	turn, err := waitLock(ctx, filepath.Join(s.dir, turnName), true)
	if err != nil {
		return nil, fmt.Errorf("waiting for state %q: %w", s.dir, err)
	}
	lock, err := waitLock(ctx, filepath.Join(s.dir, lockName), write)
	if err != nil {
		unlockAndClose(turn)
		return nil, fmt.Errorf("waiting for state %q: %w", s.dir, err)
	}
	if !write {
		unlockAndClose(turn)
		return func() { unlockAndClose(lock) }, nil
	}
	return func() {
		unlockAndClose(lock)
		unlockAndClose(turn)
	}, nil
}

// waitLock opens the file and takes its flock, waiting in the kernel until ctx ends.
func waitLock(ctx context.Context, path string, exclusive bool) (*os.File, error) {
	if err := ctx.Err(); err != nil {
		return nil, err
	}
	f, err := os.OpenFile(path, os.O_RDWR|os.O_CREATE, 0o666)
	if err != nil {
		return nil, err
	}
	got, err := tryLockFile(f, exclusive)
	if got {
		return f, nil
	}
	if err != nil {
		_ = f.Close()
		return nil, err
	}
	result := make(chan error, 1)
	go func() { result <- lockFile(f, exclusive) }()
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
			unlockAndClose(f)
		}()
		return nil, ctx.Err()
	}
}

// unlockAndClose releases explicitly: a child that is just being started may still have
// a copy of the file, and closing ours alone would leave the lock to it until exec.
func unlockAndClose(f *os.File) {
	_ = unlockFile(f)
	_ = f.Close()
}
