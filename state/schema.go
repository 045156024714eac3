package state

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"time"

	"github.com/rogpeppe/go-internal/robustio"
	"go.etcd.io/bbolt"
)

// schemaVersion is that of the database's layout. Whoever raises it adds a step to
// migrations. The record of the version itself keeps its form for ever.
const schemaVersion = 1

// migrations lead from one version to the next: migrations[1] from 1 to 2.
var migrations = map[int]func(*Tx) error{}

// foreignWait is how long one try to open the database waits for a foreign program
// before the context is looked at.
const foreignWait = time.Second

// pageSize of a new database, in bytes: the same on every system, whatever its own is.
const pageSize = 4096

// needsMigration says that an older version of the program wrote the database.
type needsMigration struct{ from int }

func (e *needsMigration) Error() string {
	return fmt.Sprintf("schema version %d needs a migration", e.from)
}

func (s *Store) checkSchema(t *Tx) error {
	var found int
	ok, err := t.get(bucketMeta, keySchema, &found)
	switch {
	case err != nil:
		return err
	case !ok || found < 1:
		return &DamagedError{Path: t.path, Reason: "the record of its schema version is missing"}
	case found > s.schema:
		return &TooNewError{Path: t.path, Found: found, Supported: s.schema}
	case found < s.schema:
		return &needsMigration{from: found}
	}
	return nil
}

// create makes the database, if there is none and never was: a folder with journals but
// no database has lost it. It appears under its name complete.
func (s *Store) create(ctx context.Context) error {
	release, err := s.takeTurn(ctx, true)
	if err != nil {
		return err
	}
	defer release()
	path := s.databasePath()
	if _, err := os.Lstat(path); !errors.Is(err, fs.ErrNotExist) {
		return err
	}
	journals, err := filepath.Glob(filepath.Join(s.dir, runsName, "*", journalName))
	if err != nil {
		return fmt.Errorf("looking for runs: %w", err)
	}
	if len(journals) > 0 {
		return &DamagedError{Path: path, Reason: fmt.Sprintf("it is missing, though there are journals of %d runs", len(journals))}
	}
	// Once more: whoever made the folder may have been killed before its name was durable.
	if err := syncDir(filepath.Dir(s.dir)); err != nil {
		return fmt.Errorf("making the database: %w", err)
	}
	return createDatabase(path, s.schema, func(*Tx) error { return nil })
}

// createDatabase makes an empty database beside path, lets fill fill it, and renames it.
func createDatabase(path string, schema int, fill func(*Tx) error) error {
	temp := path + ".new"
	if err := os.Remove(temp); err != nil && !errors.Is(err, fs.ErrNotExist) {
		return fmt.Errorf("making the database: %w", err)
	}
	db, err := bbolt.Open(temp, 0o666, &bbolt.Options{PageSize: pageSize, FreelistType: bbolt.FreelistMapType, NoStatistics: true, Timeout: foreignWait})
	if err != nil {
		return fmt.Errorf("making the database: %w", err)
	}
	err = db.Update(func(tx *bbolt.Tx) error {
		for _, name := range buckets {
			if _, err := tx.CreateBucketIfNotExists(name); err != nil {
				return err
			}
		}
		t := &Tx{bolt: tx, path: temp, replaying: true}
		if err := t.put(bucketMeta, keySchema, schema); err != nil {
			return err
		}
		return fill(t)
	})
	if closeErr := db.Close(); err == nil {
		err = closeErr
	}
	if err != nil {
		return fmt.Errorf("making the database: %w", err)
	}
	if err := robustio.Rename(temp, path); err != nil {
		return fmt.Errorf("making the database: %w", err)
	}
	return syncDir(filepath.Dir(path))
}

// migrate brings the database to this program's schema, in one transaction. It is
// refused while an engine lives, which would go on writing the old one.
func (s *Store) migrate(ctx context.Context, from int) error {
	release, err := s.takeTurn(ctx, true)
	if err != nil {
		return err
	}
	defer release()
	if err := refuseLiveEngines(s.dir); err != nil {
		return fmt.Errorf("migrating state from schema version %d to %d: %w", from, s.schema, err)
	}
	return s.withDatabase(ctx, true, func(t *Tx) error {
		var found int
		if _, err := t.get(bucketMeta, keySchema, &found); err != nil {
			return err
		}
		for v := found; v < s.schema; v++ { // none, when another process was faster
			step := s.migrations[v]
			if step == nil {
				return fmt.Errorf("no way from schema version %d to %d", v, v+1)
			}
			if err := step(t); err != nil {
				return fmt.Errorf("migrating state from schema version %d to %d: %w", v, v+1, err)
			}
		}
		t.what = "migration"
		return t.put(bucketMeta, keySchema, s.schema)
	})
}

// refuseLiveEngines returns *HeldError when any run has a live engine.
func refuseLiveEngines(dir string) error {
	ids, err := runFolders(dir)
	if err != nil {
		return err
	}
	for _, id := range ids {
		holder, alive, err := Query(dir, id)
		if err != nil {
			return err
		}
		if alive {
			return &HeldError{What: "run " + id, Holder: holder}
		}
	}
	return nil
}

// runFolders lists the ids of the runs that have a folder, oldest first.
func runFolders(dir string) ([]string, error) {
	entries, err := os.ReadDir(filepath.Join(dir, runsName))
	if errors.Is(err, fs.ErrNotExist) {
		return nil, nil
	}
	if err != nil {
		return nil, fmt.Errorf("listing runs: %w", err)
	}
	var ids []string
	for _, e := range entries {
		if e.IsDir() {
			ids = append(ids, e.Name())
		}
	}
	return ids, nil
}
