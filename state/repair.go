package state

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
)

// Repair does what the findings' Repair says: a damaged database is rebuilt from the
// journals, damaged folders and files are moved aside. Nothing is deleted. It returns
// what it did, in order. It refuses with *HeldError while an engine is alive.
func Repair(ctx context.Context, dir string, findings []Finding) ([]string, error) {
	if err := refuseLiveEngines(dir); err != nil {
		return nil, fmt.Errorf("repairing: %w", err)
	}
	var done []string
	var journals []string     // of runs whose journal has lost lines
	lost := map[string]bool{} // folders, of runs and of attempts, that are not there
	rebuild := false
	for _, f := range findings {
		if f.Severity != Damage || f.Repair == "" {
			continue
		}
		path := filepath.Join(dir, filepath.FromSlash(f.Path))
		switch f.Repair {
		case repairRebuild:
			rebuild = true
		case repairJournal:
			aside, err := keepGoodLines(path)
			if err != nil {
				return done, fmt.Errorf("repairing %q: %w", f.Path, err)
			}
			if aside != "" {
				done = append(done, fmt.Sprintf("%s: moved to %s, its good lines kept", f.Path, filepath.Base(aside)))
			}
			journals = append(journals, filepath.Base(filepath.Dir(path)))
		case repairRun:
			journals = append(journals, filepath.Base(path))
			lost[path] = true
		case repairForget:
			lost[path] = true
		case repairAside:
			aside, err := moveAside(path)
			if err != nil {
				return done, fmt.Errorf("repairing %q: %w", f.Path, err)
			}
			if aside != "" {
				done = append(done, fmt.Sprintf("%s: moved to %s", f.Path, filepath.Base(aside)))
			}
		}
	}
	if rebuild {
		if err := Rebuild(ctx, dir); err != nil {
			return done, err
		}
		return append(done, databaseName+": rebuilt from the journals, the old one moved aside"), nil
	}
	if len(journals) > 0 {
		if err := completeJournals(ctx, dir, journals); err != nil {
			return done, fmt.Errorf("repairing journals: %w", err)
		}
		done = append(done, "journals: completed with the database's records")
	}
	if len(lost) > 0 {
		n, err := forget(ctx, dir, lost)
		if err != nil {
			return done, fmt.Errorf("forgetting lost outputs: %w", err)
		}
		done = append(done, fmt.Sprintf("cache: outputs of %d stages are lost and forgotten", n))
	}
	return done, nil
}

// forget takes out of the cache what lay in folders that are not there, and says how many
// entries that were.
func forget(ctx context.Context, dir string, lost map[string]bool) (n int, err error) {
	s, err := Open(dir, Options{})
	if err != nil {
		return 0, err
	}
	defer s.Close()
	err = s.Update(ctx, func(t *Tx) error {
		all, err := readAll(t)
		if err != nil {
			return err
		}
		for _, e := range all.cache {
			if !lost[RunDir(dir, e.Run)] && !lost[AttemptDir(dir, e.Run, e.Instance, e.Attempt)] {
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

// keepGoodLines moves a journal aside and puts one with its good lines in its place.
func keepGoodLines(path string) (aside string, err error) {
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
	if aside, err = moveAside(path); err != nil {
		return "", err
	}
	return aside, errors.Join(os.Rename(temp, path), syncDir(filepath.Dir(path)))
}

// completeJournals appends to the journals of runs all that the database knows of them,
// so that it can be rebuilt from them again.
func completeJournals(ctx context.Context, dir string, runs []string) error {
	s, err := Open(dir, Options{})
	if err != nil {
		return err
	}
	defer s.Close()
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
	var errs []error
	for _, r := range all.plans {
		if r.Run == run {
			errs = append(errs, t.log(run, kindPlan, "", r))
		}
	}
	for _, r := range all.runs {
		if r.ID == run {
			errs = append(errs, t.log(run, kindRun, "", r))
		}
	}
	for _, r := range all.stages {
		if r.Run == run {
			errs = append(errs, t.log(run, kindStage, "", r))
		}
	}
	for _, r := range all.attempts {
		if r.Run == run {
			errs = append(errs, t.log(run, kindAttempt, "", r))
		}
	}
	for _, r := range all.cache {
		if r.Run == run {
			errs = append(errs, t.log(run, kindCache, "", r))
		}
	}
	for _, r := range all.parts {
		if r.Run == run {
			errs = append(errs, t.log(run, kindParts, "", r))
		}
	}
	return errors.Join(errs...)
}
