package state

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path"
	"path/filepath"
	"runtime"
	"slices"
	"strings"

	"github.com/rogpeppe/go-internal/robustio"
)

// RunRecords are the records of one run, as an archive carries them. Nothing in them points
// outside the run's folder.
type RunRecords struct {
	Run      Run           `json:"run"`
	Plan     RunPlan       `json:"plan"`
	Stages   []StageRecord `json:"stages"`
	Attempts []Attempt     `json:"attempts"`
	Cache    []CacheEntry  `json:"cache"`
}

// Check finds what no archive of ours has: records come from outside.
func (r *RunRecords) Check() error {
	id := r.Run.ID
	if id == "" || id[0] < '0' || id[0] > '9' || FolderName(id) != id {
		return fmt.Errorf("%q cannot be the id of a run", id)
	}
	if r.Plan.Run != id {
		return errors.New("its plan is another run's")
	}
	if r.Run.HooksDue { // whoever makes archives would have commands run here
		return errors.New("it asks for its hooks to be run")
	}
	instances := map[string]bool{}
	for _, s := range r.Stages {
		if s.Run != id || s.Epoch > r.Run.Epoch || instances[s.Instance] {
			return fmt.Errorf("stage %q is another run's, or stands there twice", s.Instance)
		}
		instances[s.Instance] = true
		if err := checkOutputs(id, s.Instance, s.Outputs); err != nil {
			return err
		}
	}
	return errors.Join(r.checkAttempts(instances), r.checkCache())
}

func (r *RunRecords) checkAttempts(instances map[string]bool) error {
	last := map[string]int{}
	for _, a := range r.Attempts {
		if a.Run != r.Run.ID || a.Epoch > r.Run.Epoch || !instances[a.Instance] || a.Number != last[a.Instance]+1 || a.Outcome == Running {
			return fmt.Errorf("attempt %d of stage %q is another run's, has none before it, or is running", a.Number, a.Instance)
		}
		last[a.Instance] = a.Number
		if len(a.Checkpoints) > 0 || a.Process != nil || len(a.Leftovers) > 0 {
			return fmt.Errorf("attempt %d of stage %q brings checkpoints or processes", a.Number, a.Instance)
		}
	}
	return nil
}

func (r *RunRecords) checkCache() error {
	for _, e := range r.Cache {
		i := slices.IndexFunc(r.Attempts, func(a Attempt) bool { return a.Instance == e.Instance && a.Number == e.Attempt })
		if e.Run != r.Run.ID || i < 0 || r.Attempts[i].Outcome != Succeeded || r.Attempts[i].Fingerprint != e.Fingerprint || r.Attempts[i].OutputsLeftOut {
			return fmt.Errorf("what stage %q offers for reuse is not the work of one of its attempts", e.Instance)
		}
		if err := checkOutputs(e.Run, e.Instance, e.Outputs); err != nil {
			return err
		}
	}
	return nil
}

// checkOutputs wants paths below the folder of the instance.
func checkOutputs(run, instance string, outputs map[string]OutputRecord) error {
	below := path.Join(runsName, run, stagesName, FolderName(instance)) + "/"
	for name, o := range outputs {
		if !strings.HasPrefix(o.Path, below) || path.Clean(o.Path) != o.Path || !fs.ValidPath(o.Path) {
			return fmt.Errorf("output %q of stage %q lies in %q, outside its folder", name, instance, o.Path)
		}
	}
	return nil
}

// RunRecords returns the records of a run, without what it offers for reuse.
func (t *Tx) RunRecords(id string) (RunRecords, error) {
	var r RunRecords
	var err error
	if r.Run, err = t.Run(id); err != nil {
		return r, err
	}
	if r.Plan, err = t.RunPlan(id); err != nil {
		return r, err
	}
	if r.Stages, err = t.Stages(id); err != nil {
		return r, err
	}
	r.Attempts, err = t.RunAttempts(id)
	return r, err
}

// JournalEvents returns the events of a run's journal as a journal that holds nothing else.
func JournalEvents(dir, run string) ([]byte, error) {
	f, err := os.Open(JournalPath(dir, run))
	if errors.Is(err, fs.ErrNotExist) {
		return nil, nil
	}
	if err != nil {
		return nil, err
	}
	defer f.Close()
	var out bytes.Buffer
	err = copyEvents(&out, f)
	return out.Bytes(), err
}

// copyEvents copies the good lines of a journal without the records in them.
func copyEvents(to io.Writer, from io.Reader) error {
	_, err := scanJournal(from, 0, func(l journalLine) error {
		l.Entries = slices.DeleteFunc(l.Entries, func(e journalEntry) bool { return e.Kind != kindEvent })
		if len(l.Entries) == 0 {
			return nil
		}
		line, err := encodeLine(l)
		if err == nil {
			_, err = to.Write(line)
		}
		return err
	})
	return err
}

// Incoming is the folder of a run that is being imported. A collection deletes one that nobody
// holds.
type Incoming struct {
	Folder string
	lock   *RunLock
}

// NewIncoming makes an empty folder for a run. Discard, or Admit, must follow.
func (s *Store) NewIncoming(id string) (*Incoming, error) {
	parent := filepath.Join(s.dir, incomingName)
	if err := os.MkdirAll(parent, 0o777); err != nil {
		return nil, fmt.Errorf("importing run %q: %w", id, err)
	}
	for {
		folder, err := os.MkdirTemp(parent, id+"-")
		if err != nil {
			return nil, fmt.Errorf("importing run %q: %w", id, err)
		}
		lock, err := lockRunFile(filepath.Join(folder, runLockName), id, Self("so8t import", id))
		if err == nil && sameFile(lock.file, filepath.Join(folder, runLockName)) {
			return &Incoming{Folder: folder, lock: lock}, nil
		}
		if err != nil && !errors.Is(err, ErrHeld) && !errors.Is(err, fs.ErrNotExist) {
			return nil, fmt.Errorf("importing run %q: %w", id, err)
		}
		if err == nil {
			_ = lock.Release()
		}
		// A collection took the folder for a leftover.
	}
}

// Journal is where the events of the run belong, as JournalEvents gave them.
func (in *Incoming) Journal() string { return filepath.Join(in.Folder, journalName) }

// Discard removes the folder of a run that is not imported after all.
func (in *Incoming) Discard() error {
	err := os.RemoveAll(in.Folder) // while it is ours
	released := in.lock.Release()
	if err != nil { // Windows removes no file that is open, and the lock was
		err = os.RemoveAll(in.Folder)
	}
	return errors.Join(err, released)
}

// KeepEvents rewrites the journal that came with the run so that it holds events only: records in
// it would be believed when the database is rebuilt.
func (in *Incoming) KeepEvents() error {
	from, err := os.Open(in.Journal())
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	if err != nil {
		return err
	}
	to, err := os.Create(in.Journal() + ".new")
	if err != nil {
		return errors.Join(err, from.Close())
	}
	if err := errors.Join(copyEvents(to, from), to.Sync(), to.Close(), from.Close()); err != nil {
		return err
	}
	return robustio.Rename(in.Journal()+".new", in.Journal())
}

// ErrExists: there is a run of this id already.
var ErrExists = errors.New("there is a run of this id already")

// Admit makes an incoming run, whose files are durable, one of the store's: its folder is renamed
// to its place and its records are committed. A crash in between leaves a folder without a run,
// which the next import of the run moves away and a collection deletes.
func (s *Store) Admit(ctx context.Context, in *Incoming, r RunRecords) error {
	if err := r.Check(); err != nil {
		return err
	}
	defer in.lock.Release()
	place := RunDir(s.dir, r.Run.ID)
	return s.Update(ctx, func(t *Tx) error {
		if _, err := t.Run(r.Run.ID); err == nil {
			return fmt.Errorf("run %s: %w", r.Run.ID, ErrExists)
		} else if !errors.Is(err, ErrNoRun) {
			return err
		}
		if err := s.clearPlace(r.Run.ID); err != nil {
			return err
		}
		if err := s.beforeCommit("rename import " + r.Run.ID); err != nil {
			return err
		}
		if runtime.GOOS == "windows" { // which renames no folder that holds an open file
			_ = in.lock.Release()
		}
		if err := robustio.Rename(in.Folder, place); err != nil {
			return err
		}
		if err := syncDir(filepath.Dir(place)); err != nil {
			return err
		}
		return t.importRun(r)
	})
}

// Restore stores the records of a run whose folder is in its place and whose own are lost.
func (s *Store) Restore(ctx context.Context, r RunRecords) error {
	if err := r.Check(); err != nil {
		return err
	}
	return s.Update(ctx, func(t *Tx) error {
		if _, err := t.Run(r.Run.ID); err == nil {
			return fmt.Errorf("run %s: %w", r.Run.ID, ErrExists)
		} else if !errors.Is(err, ErrNoRun) {
			return err
		}
		return t.importRun(r)
	})
}

// clearPlace moves what a crash left in the place of a run into the trash.
func (s *Store) clearPlace(id string) error {
	if _, err := os.Lstat(RunDir(s.dir, id)); errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	lock, err := LockRun(s.dir, id, Self("so8t import", id))
	if err != nil {
		return err
	}
	defer lock.Release()
	if runtime.GOOS == "windows" {
		_ = lock.Release()
	}
	if err := os.MkdirAll(filepath.Join(s.dir, trashName), 0o777); err != nil {
		return err
	}
	aside, err := os.MkdirTemp(filepath.Join(s.dir, trashName), id+"-")
	if err != nil {
		return err
	}
	return robustio.Rename(RunDir(s.dir, id), filepath.Join(aside, id))
}

// importRun stores the records of a run. What is known of the same work already stays.
func (t *Tx) importRun(r RunRecords) error {
	if err := errors.Join(t.putPlan(r.Plan), t.putRun(r.Run)); err != nil {
		return err
	}
	for _, s := range r.Stages {
		if err := t.putStage(s); err != nil {
			return err
		}
	}
	for _, a := range r.Attempts {
		if err := t.putAttempt(a); err != nil {
			return err
		}
	}
	for _, e := range r.Cache {
		if _, known, err := t.Cache(e.Fingerprint); err != nil {
			return err
		} else if !known {
			if err := t.putCache(e); err != nil {
				return err
			}
		}
		if r.Run.Workflow == "" { // a run that was restored: nobody knows whose stage it is
			continue
		}
		if _, known, err := t.LatestParts(r.Run.Workflow, e.Instance); err != nil {
			return err
		} else if !known && len(e.Parts) > 0 {
			p := LatestParts{Workflow: r.Run.Workflow, Instance: e.Instance, Run: r.Run.ID, Epoch: r.Run.Epoch, Fingerprint: e.Fingerprint, Parts: e.Parts}
			if err := t.putLatestParts(p); err != nil {
				return err
			}
		}
	}
	return nil
}
