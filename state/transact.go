package state

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"runtime/debug"
	"syscall"

	"go.etcd.io/bbolt"
	bbolterrors "go.etcd.io/bbolt/errors"
)

// transact runs f in one transaction, in the order: database exists, turn, sound pages,
// schema, f, journals, commit.
func (s *Store) transact(ctx context.Context, write bool, f func(*Tx) error) error {
	if _, err := os.Lstat(s.databasePath()); errors.Is(err, fs.ErrNotExist) {
		if err := s.create(ctx); err != nil {
			return err
		}
	}
	err := s.locked(ctx, write, f)
	var old *needsMigration
	if errors.As(err, &old) {
		if err := s.migrate(ctx, old.from); err != nil {
			return err
		}
		err = s.locked(ctx, write, f)
	}
	return err
}

func (s *Store) locked(ctx context.Context, write bool, f func(*Tx) error) error {
	s.quiet.RLock()
	defer s.quiet.RUnlock()
	release, err := s.takeTurn(ctx, write)
	if err != nil {
		return err
	}
	defer release()
	if err := s.guard(); err != nil {
		return err
	}
	err = s.withDatabase(ctx, write, func(t *Tx) error {
		if err := s.checkSchema(t); err != nil {
			return err
		}
		return f(t)
	})
	if isDamaged(err) {
		s.mu.Lock()
		s.guarded = false
		s.mu.Unlock()
	}
	return err
}

// withDatabase opens the database, runs f in a transaction and closes it. The caller
// holds the state's lock.
func (s *Store) withDatabase(ctx context.Context, write bool, f func(*Tx) error) (err error) {
	// A page that is not there is SIGBUS, which ends the process, unless this
	// goroutine asks for a panic instead; soundly and Tx.touch make that an error.
	defer debug.SetPanicOnFault(debug.SetPanicOnFault(true))
	db, err := openDatabase(ctx, s.databasePath(), write)
	if err != nil {
		return err
	}
	finished := false
	defer func() {
		// When f panics, that is a bug of the caller's, and goes on after this.
		if closeErr := db.close(isDamaged(err)); finished && err == nil {
			err = closeErr
		}
	}()
	err = s.inTransaction(db, write, f)
	finished = true
	return err
}

func (s *Store) inTransaction(db *database, write bool, f func(*Tx) error) (err error) {
	t := &Tx{path: db.path}
	err = soundly(db.path, func() error {
		t.bolt, err = db.bolt.Begin(write)
		return err
	})
	if err != nil {
		return fmt.Errorf("beginning a transaction: %w", err)
	}
	ended := false
	defer func() {
		if !ended {
			// Nothing was changed, or nothing of it counts.
			_ = soundly(db.path, t.bolt.Rollback)
		}
	}()
	if err := f(t); err != nil || !write || !t.dirty {
		return err
	}
	withdraw, err := s.writeJournals(t)
	if err != nil {
		return err
	}
	if err := s.beforeCommit("commit " + t.what); err != nil {
		withdraw()
		return err
	}
	ended = true
	id := t.bolt.ID()
	if err := soundly(db.path, t.bolt.Commit); err != nil {
		if !db.shows(id) {
			withdraw()
		}
		return fmt.Errorf("committing %s: %w", t.what, err)
	}
	return nil
}

// shows reports whether the database's readers see transaction id. After a commit that failed they do
// when what failed was the last sync: the page that makes it count is written, and whether it outlives
// a power cut is open. Its lines then stay in the journal, which was synced before.
func (d *database) shows(id int) bool {
	seen := false
	err := soundly(d.path, func() error {
		return d.bolt.View(func(tx *bbolt.Tx) error {
			seen = tx.ID() >= id
			return nil
		})
	})
	return err == nil && seen
}

func (s *Store) beforeCommit(what string) error {
	if s.opts.BeforeCommit == nil {
		return nil
	}
	return s.opts.BeforeCommit(what)
}

// writeJournals appends what the transaction changed to the journals of its runs. withdraw takes
// that back when it is not committed after all.
func (s *Store) writeJournals(t *Tx) (withdraw func(), err error) {
	var written []func()
	withdraw = func() {
		for _, w := range written {
			w()
		}
	}
	if len(t.lines) == 0 {
		return withdraw, nil
	}
	if err := s.beforeCommit("journal " + t.what); err != nil {
		return nil, err
	}
	var order []string
	byRun := map[string][]journalEntry{}
	for _, e := range t.lines {
		if byRun[e.run] == nil {
			order = append(order, e.run)
		}
		byRun[e.run] = append(byRun[e.run], e)
	}
	for _, run := range order {
		j, err := s.journal(run)
		if err == nil {
			var back func()
			if back, err = j.append(byRun[run], true); err == nil {
				written = append(written, back)
			}
		}
		if err != nil {
			withdraw()
			return nil, err
		}
	}
	return withdraw, nil
}

// database is an open bbolt file.
type database struct {
	path string
	bolt *bbolt.DB
	file *os.File
	read bool
}

// openDatabase opens the file at path. The caller holds the state's lock, so bbolt's own
// is free, unless a foreign program looks at the file: then it waits until ctx ends.
func openDatabase(ctx context.Context, path string, write bool) (*database, error) {
	db := &database{path: path, read: !write}
	options := &bbolt.Options{
		ReadOnly:     !write,
		FreelistType: bbolt.FreelistMapType,
		NoStatistics: true,
		Timeout:      foreignWait,
		OpenFile: func(name string, flag int, mode os.FileMode) (*os.File, error) {
			// Never made here: see create.
			f, err := os.OpenFile(name, flag&^os.O_CREATE, mode)
			db.file = f
			return f, err
		},
	}
	for {
		err := soundly(path, func() (err error) {
			db.bolt, err = bbolt.Open(path, 0o666, options)
			return err
		})
		switch {
		case err == nil:
			return db, nil
		case errors.Is(err, bbolterrors.ErrTimeout):
			if ctx.Err() != nil {
				return nil, fmt.Errorf("waiting for state %q: %w", path, ctx.Err())
			}
			continue
		}
		if isDamaged(err) && db.file != nil {
			// bbolt panicked and keeps the file, and with it its lock, open.
			unlockAndClose(db.file)
		}
		return nil, openError(path, err)
	}
}

// openError tells what the system refuses (no memory to map the file, no descriptor left) from
// what bbolt cannot make sense of: only the latter is damage.
func openError(path string, err error) error {
	var pathErr *fs.PathError
	var number syscall.Errno
	switch {
	case isDamaged(err), errors.As(err, &pathErr):
		return err
	case errors.As(err, &number):
		return fmt.Errorf("opening state %q: %w", path, err)
	}
	return &DamagedError{Path: path, Reason: err.Error()}
}

// close closes the file. After damage bbolt may still hold its own mutexes, and its
// Close would wait for ever: then only the file is closed, and the mapping is left to
// the end of the process.
func (d *database) close(damaged bool) error {
	if damaged {
		unlockAndClose(d.file) // the mapping alone would keep the lock
		return nil
	}
	if d.read {
		// bbolt leaves the release of a shared lock to the closing of the file. A
		// child that is being started at this moment has a copy of it until exec.
		_ = unlockFile(d.file)
	}
	return soundly(d.path, d.bolt.Close)
}

// soundly runs a function of bbolt and turns its panics into *DamagedError.
func soundly(path string, f func() error) (err error) {
	defer func() {
		if p := recover(); p != nil {
			err = &DamagedError{Path: path, Reason: panicReason(p)}
		}
	}()
	return f()
}

func panicReason(p any) string {
	if fault, ok := p.(interface{ Addr() uintptr }); ok {
		return fmt.Sprintf("a page of it cannot be read (fault at %#x)", fault.Addr())
	}
	return fmt.Sprint(p)
}

func isDamaged(err error) bool {
	var d *DamagedError
	return errors.As(err, &d)
}

func (s *Store) databasePath() string { return filepath.Join(s.dir, databaseName) }
