package state

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"time"

	"github.com/rogpeppe/go-internal/robustio"
)

// rebuild makes the database anew from the journals of all runs and moves the old one
// aside. It refuses with *HeldError while an engine is alive. Digests of files are not
// in the journals; they are computed again when they are needed.
func (s *Store) rebuild(ctx context.Context) error {
	release, err := s.takeTurn(ctx, true)
	if err != nil {
		return err
	}
	defer release()
	if err := s.rebuildLocked(); err != nil {
		return fmt.Errorf("rebuilding the database: %w", err)
	}
	return nil
}

func (s *Store) rebuildLocked() error {
	if err := refuseLiveEngines(s.dir); err != nil {
		return err
	}
	lines, err := s.allLines()
	if err != nil {
		return err
	}
	// Made whole beside the old one, under a name that the old one does not have.
	fresh := s.databasePath() + ".rebuilt"
	err = createDatabase(fresh, s.schema, func(t *Tx) error {
		if err := replay(t, lines); err != nil {
			return err
		}
		return fillGaps(t)
	})
	if err != nil {
		return err
	}
	if _, err := s.moveAside(s.databasePath()); err != nil {
		return err
	}
	// A crash here leaves no database, which is found and rebuilt like any other lost one.
	if err := s.beforeCommit("rename " + databaseName); err != nil {
		return err
	}
	if err := robustio.Rename(fresh, s.databasePath()); err != nil {
		return err
	}
	return syncDir(s.dir)
}

// allLines returns the good lines of all journals by time; equal times by run.
func (s *Store) allLines() ([]journalLine, error) {
	ids, err := runFolders(s.dir)
	if err != nil {
		return nil, err
	}
	var lines []journalLine
	for _, id := range ids {
		f, err := os.Open(JournalPath(s.dir, id))
		if errors.Is(err, fs.ErrNotExist) {
			continue
		}
		if err != nil {
			return nil, err
		}
		// A clock that was set back must not reorder one run's own lines.
		var latest time.Time
		_, err = scanJournal(f, 0, func(l journalLine) error {
			if l.Time.Before(latest) {
				l.Time = latest
			}
			latest = l.Time
			lines = append(lines, l)
			return nil
		})
		if closeErr := f.Close(); err == nil {
			err = closeErr
		}
		if err != nil {
			return nil, fmt.Errorf("reading the journal of run %q: %w", id, err)
		}
	}
	slices.SortStableFunc(lines, func(a, b journalLine) int { return a.Time.Compare(b.Time) })
	return lines, nil
}

// replay puts the records of the lines as they are: they were checked when they were
// written, and a line that a crash kept from being committed may lie in between.
func replay(t *Tx, lines []journalLine) error {
	t.replaying = true
	for _, l := range lines {
		for _, e := range l.Entries {
			if err := replayEntry(t, e); err != nil {
				return fmt.Errorf("replaying a record (%s): %w", e.Kind, err)
			}
		}
	}
	return nil
}

func replayEntry(t *Tx, e journalEntry) error {
	switch e.Kind {
	case kindEvent:
		return nil
	case kindRun:
		return decodeAnd(e.Value, t.putRun)
	case kindPlan:
		return decodeAnd(e.Value, t.putPlan)
	case kindStage:
		return decodeAnd(e.Value, t.putStage)
	case kindAttempt:
		return decodeAnd(e.Value, t.putAttempt)
	case kindCache:
		return decodeAnd(e.Value, t.putCache)
	case kindDrop:
		return decodeAnd(e.Value, func(fingerprint string) error { return t.DropCache("", fingerprint) })
	case kindParts:
		return decodeAnd(e.Value, t.putLatestParts)
	case kindPublished:
		return decodeAnd(e.Value, t.putPublished)
	}
	return errors.New("unknown kind: a newer program wrote this journal")
}

func decodeAnd[T any](doc json.RawMessage, put func(T) error) error {
	var record T
	if err := json.Unmarshal(doc, &record); err != nil {
		return err
	}
	return put(record)
}

// moveAside renames path to path.damaged-N with the first N that is free. It returns the
// new name; "" when there was nothing.
func (s *Store) moveAside(path string) (string, error) {
	if _, err := os.Lstat(path); errors.Is(err, fs.ErrNotExist) {
		return "", nil
	}
	for n := 1; ; n++ {
		aside := fmt.Sprintf("%s.damaged-%d", path, n)
		_, err := os.Lstat(aside)
		if err == nil {
			continue
		}
		if !errors.Is(err, fs.ErrNotExist) {
			return "", err
		}
		if err := s.beforeCommit("rename " + filepath.Base(aside)); err != nil {
			return "", err
		}
		return aside, errors.Join(robustio.Rename(path, aside), syncDir(filepath.Dir(path)))
	}
}
