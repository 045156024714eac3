package state

import (
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"time"
)

// Holder is the process that holds a lock, as it wrote itself into the lock's file.
type Holder struct {
	PID     int       `json:"pid"`
	Start   uint64    `json:"start"` // as ProcessStart gives it
	BootID  string    `json:"boot_id,omitempty"`
	PIDNS   string    `json:"pid_ns,omitempty"` // the pid means something only in here
	Host    string    `json:"host,omitempty"`
	Command string    `json:"command,omitempty"`
	Run     string    `json:"run,omitempty"`
	Since   time.Time `json:"since,omitzero"`
}

func (h Holder) String() string {
	if h.PID == 0 {
		return "another process"
	}
	text := fmt.Sprintf("process %d", h.PID)
	if h.Command != "" {
		text += fmt.Sprintf(" (%s)", h.Command)
	}
	if h.Host != "" {
		text += " on " + h.Host
	}
	if !h.Since.IsZero() {
		text += " since " + h.Since.Local().Format("2006-01-02 15:04:05")
	}
	return text
}

// Self describes this process as a holder. command is what the user typed; run may be "".
func Self(command, run string) Holder {
	pid := os.Getpid()
	start, _ := ProcessStart(pid) // 0 where the system does not say
	host, _ := os.Hostname()
	return Holder{
		PID: pid, Start: start, BootID: BootID(), PIDNS: pidNamespace(),
		Host: host, Command: command, Run: run, Since: time.Now().UTC().Truncate(time.Second),
	}
}

// RunLock is held by the engine of a run for its life; the system releases it when the
// process dies, however that happens. The engine keeps the value and calls Release: a lock
// that nothing refers to any more is closed by the garbage collector.
type RunLock struct{ file *os.File }

// LockRun takes the lock of a run, making the run's folder when there is none, and
// writes holder into it. When another process has it: *HeldError.
func LockRun(dir, run string, holder Holder) (*RunLock, error) {
	path := filepath.Join(RunDir(dir, run), runLockName)
	for {
		l, err := lockRunFile(path, run, holder)
		switch {
		case errors.Is(err, fs.ErrNotExist):
			continue // the folder was removed as soon as it was made; see Collect
		case err != nil:
			var held *HeldError
			if errors.As(err, &held) {
				return nil, err
			}
			return nil, fmt.Errorf("locking run %q: %w", run, err)
		case !sameFile(l.file, path):
			disownAndClose(l.file)
			continue
		}
		return l, nil
	}
}

func lockRunFile(path, run string, holder Holder) (*RunLock, error) {
	if err := os.MkdirAll(filepath.Dir(path), 0o777); err != nil {
		return nil, err
	}
	f, err := os.OpenFile(path, os.O_RDWR|os.O_CREATE, 0o666)
	if err != nil {
		return nil, err
	}
	got, err := tryOwn(f)
	if err == nil && !got {
		got, err = inherit(f)
	}
	if err != nil {
		_ = f.Close()
		return nil, err
	}
	if !got {
		held := &HeldError{What: "run " + run, Holder: readHolder(f)}
		_ = f.Close()
		return nil, held
	}
	if err := writeHolder(f, holder); err != nil {
		disownAndClose(f)
		return nil, err
	}
	return &RunLock{file: f}, nil
}

// inheritWait bounds how long a lock may outlive its process.
const inheritWait = 30 * time.Second

// inherit takes a lock whose process has died. A child that was being started at that moment
// has a copy of every open file, the lock's too, until it runs its program or dies as well.
func inherit(f *os.File) (got bool, err error) {
	tick := time.NewTicker(5 * time.Millisecond)
	defer tick.Stop()
	for end := time.Now().Add(inheritWait); readHolder(f).dead() && time.Now().Before(end); <-tick.C {
		if got, err = tryOwn(f); got || err != nil {
			return got, err
		}
	}
	return false, nil
}

// dead reports whether the process that wrote itself into a lock is known to be no more.
func (h Holder) dead() bool {
	return h.PID > 0 && h.BootID == BootID() && h.PIDNS == pidNamespace() && gone(h.PID, h.Start)
}

// Release gives the lock up. The file stays: it is never replaced, so that whoever has
// it open looks at the same lock; it goes only with the run's folder.
func (l *RunLock) Release() error {
	if l == nil || l.file == nil {
		return nil
	}
	err := disown(l.file)
	if closeErr := l.file.Close(); err == nil {
		err = closeErr
	}
	l.file = nil
	return err
}

// Query tells whether an engine holds the run's lock, and which. It takes nothing, so it
// never gets in an engine's way. Without a lock file nobody is alive.
func Query(dir, run string) (holder Holder, alive bool, err error) {
	f, err := os.Open(filepath.Join(RunDir(dir, run), runLockName))
	if errors.Is(err, fs.ErrNotExist) {
		return Holder{}, false, nil
	}
	if err != nil {
		return Holder{}, false, fmt.Errorf("looking at the lock of run %q: %w", run, err)
	}
	defer f.Close()
	owned, err := isOwned(f)
	if err != nil {
		return Holder{}, false, fmt.Errorf("looking at the lock of run %q: %w", run, err)
	}
	holder = readHolder(f)
	return holder, owned && !holder.dead(), nil // dead: see inherit
}

// maxHolder bounds the file of a lock, whose command line comes from outside.
const maxHolder = 64 << 10

// writeHolder puts the holder into its file: one write, then the rest of a longer former
// one is cut off; a reader in between sees JSON followed by garbage, see readHolder.
func writeHolder(f *os.File, h Holder) error {
	doc, err := json.Marshal(h)
	if err != nil {
		return err
	}
	doc = append(doc, '\n')
	if _, err := f.WriteAt(doc, 0); err != nil {
		return err
	}
	return f.Truncate(int64(len(doc)))
}

// readHolder returns the zero Holder when the file says nothing (yet).
func readHolder(f *os.File) Holder {
	var h Holder
	if err := json.NewDecoder(io.NewSectionReader(f, 0, maxHolder)).Decode(&h); err != nil {
		return Holder{}
	}
	return h
}

func disownAndClose(f *os.File) {
	_ = disown(f)
	_ = f.Close()
}
