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
		done = append(done, databaseName+": rebuilt from the journals, the old one moved aside")
	}
	return done, nil
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
	defer in.Close()
	temp := path + ".new"
	out, err := os.Create(temp)
	if err != nil {
		return "", err
	}
	_, err = scanJournal(in, 0, func(l journalLine) error {
		line, err := encodeLine(l)
		if err == nil {
			_, err = out.Write(line)
		}
		return err
	})
	if err = errors.Join(err, out.Sync(), out.Close()); err != nil {
		return "", err
	}
	if aside, err = moveAside(path); err != nil {
		return "", err
	}
	return aside, errors.Join(os.Rename(temp, path), syncDir(filepath.Dir(path)))
}
