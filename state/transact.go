package state

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"runtime/debug"
	"time"

	"go.etcd.io/bbolt"
)

func (s *Store) transact(ctx context.Context, write bool, f func(*Tx) error) error {
	release, err := s.takeTurn(ctx, write)
	if err != nil {
		return err
	}
	defer release()
	path := filepath.Join(s.dir, databaseName)
	if !write {
		if err := s.ready(ctx, path); err != nil {
			return err
		}
	} else if err := s.prepare(path); err != nil {
		return err
	}
	// A page that is not there is SIGBUS, which ends the process, unless this
	// goroutine asks for a panic; Tx.touch and guardPanic turn it into an error.
	defer debug.SetPanicOnFault(debug.SetPanicOnFault(true))
	db, err := openDatabase(ctx, path, !write)
	if err != nil {
		return err
	}
	err = s.inDatabase(db, path, write, f)
	if closeErr := db.close(isDamaged(err)); err == nil {
		err = closeErr
	}
	return err
}

// ready makes sure that a reader finds a sound database of this version.
func (s *Store) ready(ctx context.Context, path string) error { return nil }

// prepare makes the database when there is none, and migrates an older one.
func (s *Store) prepare(path string) error { return nil }

func (s *Store) inDatabase(db *database, path string, write bool, f func(*Tx) error) error {
	return errors.New("not yet")
}

type database struct {
	bolt *bbolt.DB
	file *os.File
}

func openDatabase(ctx context.Context, path string, readOnly bool) (*database, error) {
	return nil, fmt.Errorf("not yet %v", time.Second)
}

func (d *database) close(damaged bool) error { return nil }

func isDamaged(err error) bool {
	var d *DamagedError
	return errors.As(err, &d)
}

func panicReason(p any) string { return fmt.Sprint(p) }

func (s *Store) takeTurn(ctx context.Context, write bool) (func(), error) { return nil, nil }

func checkFileSystem(dir string) error { return nil }
