package state

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"

	"github.com/rogpeppe/go-internal/robustio"
)

// repairs is what findings ask for.
type repairs struct {
	rebuild  bool
	aside    []string // damaged folders and files, relative to the state folder
	cut      []string // journals that have lost lines, relative to the state folder
	complete []string // runs whose journals lack records
	// lost are folders, of runs and of attempts, that are not there.
	lost map[string]bool
}

func (s *Store) repairsOf(findings []Finding) repairs {
	r := repairs{lost: map[string]bool{}}
	for _, f := range findings {
		if f.Severity != Damage {
			continue
		}
		path := s.path(f.Path)
		switch f.Repair {
		case repairRebuild:
			r.rebuild = true
		case repairAside:
			r.aside = append(r.aside, f.Path)
		case repairJournal:
			r.cut = append(r.cut, f.Path)
			r.complete = append(r.complete, filepath.Base(filepath.Dir(path)))
		case repairRun:
			r.complete = append(r.complete, filepath.Base(path))
			r.lost[path] = true
		case repairForget:
			r.lost[path] = true
		}
	}
	return r
}

func (s *Store) path(rel string) string { return filepath.Join(s.dir, filepath.FromSlash(rel)) }

// Repair does what the findings' Repair says: a damaged database is rebuilt from the
// journals, damaged folders and files are moved aside. Nothing is deleted. It returns
// what it did, in order. It refuses with *HeldError while an engine is alive. When it is cut
// off, Check finds what is left to do.
func (s *Store) Repair(ctx context.Context, findings []Finding) ([]string, error) {
	if err := refuseLiveEngines(s.dir); err != nil {
		return nil, fmt.Errorf("repairing: %w", err)
	}
	r := s.repairsOf(findings)
	done, err := s.setAside(r)
	if err != nil {
		return done, err
	}
	if r.rebuild {
		// The other findings were made without the records, and are made again with them.
		if err := s.rebuild(ctx); err != nil {
			return done, err
		}
		return append(done, databaseName+": rebuilt from the journals, the old one moved aside"), nil
	}
	if len(r.complete) > 0 {
		if err := s.completeJournals(ctx, r.complete); err != nil {
			return done, fmt.Errorf("repairing journals: %w", err)
		}
		done = append(done, "journals: completed with the database's records")
	}
	if len(r.lost) > 0 {
		n, err := s.forget(ctx, r.lost)
		if err != nil {
			return done, fmt.Errorf("forgetting lost outputs: %w", err)
		}
		done = append(done, fmt.Sprintf("cache: outputs of %d stages are lost and forgotten", n))
	}
	return done, nil
}

// setAside moves damaged files and folders aside, and puts the good lines of journals in their place.
func (s *Store) setAside(r repairs) (done []string, err error) {
	for _, step := range []struct {
		paths []string
		move  func(path string) (aside string, err error)
		text  string
	}{
		{r.cut, s.keepGoodLines, "%s: moved to %s, its good lines kept"},
		{r.aside, s.moveAside, "%s: moved to %s"},
	} {
		for _, rel := range step.paths {
			aside, err := step.move(s.path(rel))
			if err != nil {
				return done, fmt.Errorf("repairing %q: %w", rel, err)
			}
			if aside != "" {
				done = append(done, fmt.Sprintf(step.text, rel, filepath.Base(aside)))
			}
		}
	}
	return done, nil
}

// forget takes out of the cache what lay in folders that are not there, and says how many
// entries that were.
func (s *Store) forget(ctx context.Context, lost map[string]bool) (n int, err error) {
	err = s.Update(ctx, func(t *Tx) error {
		all, err := readAll(t)
		if err != nil {
			return err
		}
		for _, e := range all.cache {
			if !lost[RunDir(s.dir, e.Run)] && !lost[AttemptDir(s.dir, e.Run, e.Instance, e.Attempt)] {
				continue
			}
			n++
			if err := t.DropCache(e.Run, e.Fingerprint); err != nil {
				return err
			}
		}
		return nil
	})
	return n, err
}

// keepGoodLines moves a journal aside and puts one with its good lines in its place. A crash in
// between leaves no journal; the database completes it then.
func (s *Store) keepGoodLines(path string) (aside string, err error) {
	in, err := os.Open(path)
	if errors.Is(err, fs.ErrNotExist) {
		return "", nil
	}
	if err != nil {
		return "", err
	}
	temp := path + ".new"
	out, err := os.Create(temp)
	if err != nil {
		return "", errors.Join(err, in.Close())
	}
	_, err = scanJournal(in, 0, func(l journalLine) error {
		line, err := encodeLine(l)
		if err == nil {
			_, err = out.Write(line)
		}
		return err
	})
	// Both are closed before they are renamed: Windows renames no file that is open.
	if err = errors.Join(err, out.Sync(), out.Close(), in.Close()); err != nil {
		return "", err
	}
	if aside, err = s.moveAside(path); err != nil {
		return "", err
	}
	if err := s.beforeCommit("rename " + filepath.Base(path)); err != nil {
		return "", err
	}
	return aside, errors.Join(robustio.Rename(temp, path), syncDir(filepath.Dir(path)))
}

// completeJournals appends to the journals of runs all that the database knows of them,
// so that it can be rebuilt from them again.
func (s *Store) completeJournals(ctx context.Context, runs []string) error {
	return s.Update(ctx, func(t *Tx) error {
		all, err := readAll(t)
		if err != nil {
			return err
		}
		for _, id := range runs {
			if err := all.log(t, id); err != nil {
				return err
			}
		}
		t.what = "repair"
		// The database stays as it is; only the journals are written.
		t.dirty = len(t.lines) > 0
		return nil
	})
}

// log adds all records of a run to the transaction's lines.
func (all *allRecords) log(t *Tx, run string) error {
	return errors.Join(
		logOf(t, run, kindPlan, all.plans, func(r RunPlan) string { return r.Run }),
		logOf(t, run, kindRun, all.runs, func(r Run) string { return r.ID }),
		logOf(t, run, kindStage, all.stages, func(r StageRecord) string { return r.Run }),
		logOf(t, run, kindAttempt, all.attempts, func(r Attempt) string { return r.Run }),
		logOf(t, run, kindCache, all.cache, func(r CacheEntry) string { return r.Run }),
		logOf(t, run, kindParts, all.parts, func(r LatestParts) string { return r.Run }),
		logOf(t, run, kindPublished, all.published, func(r Published) string { return r.Run }),
	)
}

// logOf adds those of a kind of records that are of the run.
func logOf[T any](t *Tx, run, kind string, records []T, of func(T) string) error {
	for _, r := range records {
		if of(r) != run {
			continue
		}
		if err := t.log(run, kind, "", r); err != nil {
			return err
		}
	}
	return nil
}
