package state

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
)

// Severity of a finding.
type Severity string

const (
	Note   Severity = "note"   // a leftover of a crash, or gone and not counted on any more
	Damage Severity = "damage" // something that was finished is not what it was
)

// Finding is one thing Check found.
type Finding struct {
	Severity Severity `json:"severity"`
	Code     string   `json:"code"`
	Path     string   `json:"path"` // relative to the state folder, with slashes
	Message  string   `json:"message"`
	Repair   string   `json:"repair"` // what Repair would do; "" = nothing
}

// Codes of findings.
const (
	CodeDatabase          = "database"           // pages, schema or checksums of the database
	CodeDatabaseNew       = "database_temporary" // a database that was being made
	CodeDatabaseAside     = "database_aside"     // one that a repair moved aside
	CodeJournal           = "journal"            // a line that is damaged, with good ones after it
	CodeJournalTorn       = "journal_torn"       // a last line that a crash cut off
	CodeJournalMissing    = "journal_missing"
	CodeJournalBehind     = "journal_behind"  // it lacks records of the database
	CodeDatabaseBehind    = "database_behind" // it lacks transactions that a journal has
	CodeTrash             = "trash"           // what a gc or an import left when it was cut off
	CodeRunMissing        = "run_missing"     // a run without folder
	CodeRunUnknown        = "run_unknown"     // a folder without run
	CodeRunInterrupted    = "run_interrupted"
	CodeAttemptMissing    = "attempt_missing" // succeeded, without folder
	CodeAttemptDamaged    = "attempt_damaged" // succeeded, its manifest does not verify
	CodeAttemptUnknown    = "attempt_unknown" // a folder without attempt
	CodeCheckpointMissing = "checkpoint_missing"
	CodeRecords           = "records" // records that contradict each other
	CodeLock              = "lock"    // a lock file nobody holds
)

// CheckOptions of Check.
type CheckOptions struct {
	// Command starts this program so that it calls CheckDatabase with the path that is
	// appended to it, prints what that returns, a line each, and exits 0. bbolt's checker
	// can end its process, so it runs in a child; without Command that part is left out.
	Command []string
	// VerifyAttempt checks the manifest in the folder of an attempt that succeeded;
	// nil leaves that out.
	VerifyAttempt func(folder string) error
}

// checker collects findings about one state folder.
type checker struct {
	store    *Store
	opts     CheckOptions
	findings []Finding
	// histories by run, of those whose journals are whole and that no engine holds.
	histories map[string]*history
	// live runs had an engine before their records were read: both go on changing.
	live map[string]bool
}

const (
	repairRebuild = "move it aside and rebuild it from the runs' journals"
	repairJournal = "move it aside, keep its good lines and add the database's records"
	repairRun     = "make it anew with a journal of the database's records, and forget its outputs; its stages run again when they are needed"
	repairForget  = "forget them"
	repairAside   = "move it aside; the stage runs again when it is needed"
)

// RepairSalvage is the repair of a run of which only the files are left; the engine does it, which can
// read them.
const RepairSalvage = "make records of what its attempts have left, for the work to be reused; its workflow, parameters, reasons and times are lost"

// Check is the fsck: database, records, journals and folders against each other. It
// works beside a live engine: it reads a copy of the database and takes no lock for
// long. The error is for a check that could not be made, or *TooNewError.
func Check(ctx context.Context, dir string, opts CheckOptions) ([]Finding, error) {
	s, err := Open(dir, Options{})
	if err != nil {
		return nil, err
	}
	defer s.Close()
	c := &checker{store: s, opts: opts, histories: map[string]*history{}, live: map[string]bool{}}
	if err := c.findLive(); err != nil {
		return nil, err
	}
	records, err := c.database(ctx)
	if err != nil {
		return nil, err
	}
	if err := c.leftovers(); err != nil {
		return nil, err
	}
	if err := c.journals(); err != nil {
		return nil, err
	}
	if records != nil {
		if err := c.folders(ctx, records); err != nil {
			return nil, err
		}
		c.agreement(records)
		if err := c.compare(records); err != nil {
			return nil, err
		}
	}
	slices.SortStableFunc(c.findings, func(a, b Finding) int {
		return cmp.Or(cmp.Compare(a.Severity, b.Severity), cmp.Compare(a.Path, b.Path), cmp.Compare(a.Code, b.Code))
	})
	return c.findings, nil
}

func (c *checker) findLive() error {
	ids, err := runFolders(c.store.dir)
	for _, id := range ids {
		if err == nil {
			_, c.live[id], err = Query(c.store.dir, id)
		}
	}
	return err
}

func (c *checker) add(severity Severity, code, path, repair, format string, args ...any) {
	rel, err := filepath.Rel(c.store.dir, path)
	if err != nil {
		rel = path
	}
	c.findings = append(c.findings, Finding{
		Severity: severity, Code: code, Path: filepath.ToSlash(rel),
		Message: fmt.Sprintf(format, args...), Repair: repair,
	})
}

// database checks the database and returns its records, or nil when it is damaged.
func (c *checker) database(ctx context.Context) (*allRecords, error) {
	path := c.store.databasePath()
	damaged := func(err error) (*allRecords, error) {
		var d *DamagedError
		if !errors.As(err, &d) {
			return nil, err
		}
		c.add(Damage, CodeDatabase, path, repairRebuild, "%s", d.Reason)
		return nil, nil
	}
	// Makes it when it is new, and migrates it when it is old.
	if err := c.store.View(ctx, func(*Tx) error { return nil }); err != nil {
		return damaged(err)
	}
	snapshot, err := c.snapshot(ctx)
	if err != nil {
		return nil, err
	}
	defer func() { _ = os.RemoveAll(snapshot) }()
	reasons, err := checkInChild(ctx, c.opts.Command, filepath.Join(snapshot, databaseName))
	if err != nil {
		return nil, err
	}
	for _, r := range reasons {
		c.add(Damage, CodeDatabase, path, repairRebuild, "%s", r)
	}
	copied := &Store{dir: snapshot, schema: c.store.schema, migrations: c.store.migrations, journals: map[string]*journal{}}
	var records *allRecords
	err = copied.View(ctx, func(t *Tx) (err error) {
		records, err = readAll(t)
		return err
	})
	if err != nil {
		return damaged(err)
	}
	for _, r := range records.damaged {
		c.add(Damage, CodeDatabase, path, repairRebuild, "%s", r)
	}
	if len(records.damaged)+len(reasons) > 0 {
		return nil, nil
	}
	return records, nil
}

// snapshot copies the database into a temporary folder, so that a long check keeps no
// engine waiting.
func (c *checker) snapshot(ctx context.Context) (folder string, err error) {
	folder, err = os.MkdirTemp("", "so8t-check-")
	if err != nil {
		return "", fmt.Errorf("copying the database: %w", err)
	}
	release, err := c.store.takeTurn(ctx, false)
	if err != nil {
		return "", errors.Join(err, os.RemoveAll(folder))
	}
	defer release()
	err = copyFile(filepath.Join(folder, databaseName), c.store.databasePath())
	if err != nil {
		return "", errors.Join(fmt.Errorf("copying the database: %w", err), os.RemoveAll(folder))
	}
	return folder, nil
}

func copyFile(to, from string) error {
	in, err := os.Open(from)
	if err != nil {
		return err
	}
	defer in.Close()
	out, err := os.Create(to)
	if err != nil {
		return err
	}
	_, err = io.Copy(out, in)
	return errors.Join(err, out.Close())
}

// leftovers notes what crashes and repairs leave at the top of the folder.
func (c *checker) leftovers() error {
	for pattern, code := range map[string]string{".new": CodeDatabaseNew, ".rebuilt*": CodeDatabaseNew, ".damaged-*": CodeDatabaseAside} {
		paths, err := filepath.Glob(c.store.databasePath() + pattern)
		if err != nil {
			return fmt.Errorf("looking for leftovers: %w", err)
		}
		for _, p := range paths {
			c.add(Note, code, p, "", "left over; it is not used")
		}
	}
	for _, name := range []string{trashName, incomingName} {
		entries, err := readFolder(filepath.Join(c.store.dir, name))
		if err != nil {
			return fmt.Errorf("looking for leftovers: %w", err)
		}
		for _, e := range entries {
			path := filepath.Join(c.store.dir, name, e.Name())
			if !lockedFile(filepath.Join(path, runLockName)) {
				c.add(Note, CodeTrash, path, "", "left by a gc or an import that was cut off; `so8t gc` removes it")
			}
		}
	}
	locks, err := os.ReadDir(filepath.Join(c.store.dir, locksName))
	if err != nil {
		return fmt.Errorf("looking for leftovers: %w", err)
	}
	for _, e := range locks {
		path := filepath.Join(c.store.dir, locksName, e.Name())
		f, err := os.Open(path)
		if errors.Is(err, fs.ErrNotExist) {
			continue
		}
		if err != nil {
			return fmt.Errorf("looking for leftovers: %w", err)
		}
		owned, err := isOwned(f)
		if err == nil && !owned {
			c.add(Note, CodeLock, path, "", "nobody holds this lock; it is taken over when it is needed")
		}
		_ = f.Close()
		if err != nil {
			return fmt.Errorf("looking for leftovers: %w", err)
		}
	}
	return nil
}

// journals checks every line of every journal.
func (c *checker) journals() error {
	ids, err := runFolders(c.store.dir)
	if err != nil {
		return err
	}
	for _, id := range ids {
		if err := c.journal(id); err != nil {
			return fmt.Errorf("checking journals: %w", err)
		}
	}
	return nil
}

func (c *checker) journal(id string) error {
	_, alive, err := Query(c.store.dir, id)
	if err != nil {
		return err
	}
	path := JournalPath(c.store.dir, id)
	f, err := os.Open(path)
	if errors.Is(err, fs.ErrNotExist) {
		return nil // folders looks whether there should be one
	}
	if err != nil {
		return err
	}
	defer f.Close()
	h := newHistory()
	ext, err := scanJournal(f, 0, h.add)
	if err != nil {
		return err
	}
	if ext.inside > 0 {
		c.add(Damage, CodeJournal, path, repairJournal, "%d of its lines do not match their checksums", ext.inside)
	}
	if alive {
		return nil
	}
	if ext.inside == 0 && !c.live[id] {
		c.histories[id] = h
	}
	if ext.trailer > 0 {
		c.add(Note, CodeJournalTorn, path, "", "the last %d bytes are no whole line; they are dropped when the run goes on", ext.size-ext.end)
	}
	return nil
}
