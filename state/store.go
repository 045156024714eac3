package state

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"sync"
	"syscall"
)

// Options of a Store.
type Options struct {
	// BeforeCommit, when set, is called right before each durable step of an Update:
	// with "journal …" before the journals are synced and "commit …" before bbolt
	// commits. An error gives the transaction up.
	BeforeCommit func(what string) error
}

// Store is a state folder. It holds no file open but the journals it has written to,
// and may be used by several goroutines.
type Store struct {
	dir  string
	opts Options
	// schema and migrations are this program's; tests have others.
	schema     int
	migrations map[int]func(*Tx) error

	quiet    sync.RWMutex // read-locked by each transaction
	mu       sync.Mutex
	guarded  bool                // the database's pages were found sound
	journals map[string]*journal // by run; guarded by mu
}

// Open makes the folder when there is none and returns a store on it. It does not keep
// the database open. A database that is damaged is found by the first transaction.
func Open(dir string, opts Options) (*Store, error) {
	dir, err := filepath.Abs(dir)
	if err != nil {
		return nil, fmt.Errorf("opening state: %w", err)
	}
	if err := makeDurably(dir); err != nil {
		return nil, fmt.Errorf("opening state: %w", err)
	}
	for _, sub := range []string{runsName, locksName} {
		if err := os.MkdirAll(filepath.Join(dir, sub), 0o777); err != nil {
			return nil, fmt.Errorf("opening state: %w", err)
		}
	}
	if err := checkFileSystem(dir); err != nil {
		return nil, err
	}
	if err := writeIgnore(dir); err != nil {
		return nil, fmt.Errorf("opening state: %w", err)
	}
	return &Store{dir: dir, opts: opts, schema: schemaVersion, migrations: migrations, journals: map[string]*journal{}}, nil
}

// makeDurably makes a folder whose name, and those of the folders above it that it makes, survive a
// power cut.
func makeDurably(dir string) error {
	info, err := os.Stat(dir)
	if err == nil && !info.IsDir() {
		return &fs.PathError{Op: "mkdir", Path: dir, Err: syscall.ENOTDIR}
	}
	if !errors.Is(err, fs.ErrNotExist) {
		return err
	}
	parent := filepath.Dir(dir)
	if err := makeDurably(parent); err != nil {
		return err
	}
	if err := os.Mkdir(dir, 0o777); err != nil && !errors.Is(err, fs.ErrExist) {
		return err
	}
	return syncDir(parent)
}

// writeIgnore keeps the folder out of version control.
func writeIgnore(dir string) error {
	path := filepath.Join(dir, ".gitignore")
	if _, err := os.Lstat(path); err == nil {
		return nil
	}
	return os.WriteFile(path, []byte("*\n"), 0o666)
}

// Dir is the state folder's absolute path.
func (s *Store) Dir() string { return s.dir }

// Close closes the journals.
func (s *Store) Close() error {
	s.mu.Lock()
	defer s.mu.Unlock()
	var first error
	for _, j := range s.journals {
		if err := j.close(); err != nil && first == nil {
			first = err
		}
	}
	clear(s.journals)
	return first
}

// Quiet calls f while no transaction of this store is under way. An engine that stops
// itself (SIGTSTP) does it in here: a process that is stopped inside a transaction keeps
// everybody else out. f starts no transaction.
func (s *Store) Quiet(f func()) {
	s.quiet.Lock()
	defer s.quiet.Unlock()
	f()
}

// View calls f with a consistent view. It waits for its turn until ctx ends. f should
// read and return: writers wait for it.
func (s *Store) View(ctx context.Context, f func(*Tx) error) error {
	return s.transact(ctx, false, f)
}

// Update calls f and makes what it changed durable, all or nothing: the journals are
// synced, then the database commits. When f changes nothing, nothing is written. It
// waits for its turn until ctx ends, and is not cut off after that. f starts no
// transaction of its own, which would wait for this one for ever.
func (s *Store) Update(ctx context.Context, f func(*Tx) error) error {
	return s.transact(ctx, true, f)
}
