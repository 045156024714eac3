package state

import (
	"context"
	"fmt"
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

// Self describes this process as a holder. command is what the user typed.
func Self(command, run string) Holder { return Holder{} }

// RunLock is held by the engine of a run for its life; the system releases it when the
// process dies, however that happens.
type RunLock struct{}

// LockRun takes the lock of a run, making the run's folder when there is none, and
// writes holder into it. When another process has it: *HeldError.
func LockRun(dir, run string, holder Holder) (*RunLock, error) { return nil, nil }

// Release gives the lock up.
func (l *RunLock) Release() error { return nil }

// Query tells whether an engine holds the run's lock, and which. It takes nothing, so it
// never gets in an engine's way. Without a lock file nobody is alive.
func Query(dir, run string) (holder Holder, alive bool, err error) { return Holder{}, false, nil }

// FingerprintLock is held while a fingerprint is worked on.
type FingerprintLock struct{}

// LockFingerprint waits until no other process works on the fingerprint, or ctx ends.
// onWait, when set, is called once with the process waited for.
func LockFingerprint(ctx context.Context, dir, fingerprint string, holder Holder, onWait func(Holder)) (*FingerprintLock, error) {
	return nil, nil
}

// Release gives the lock up.
func (l *FingerprintLock) Release() error { return nil }

// ProcessStart returns when a process of this system started, in the system's own unit
// (Linux: clock ticks since boot), so that a pid used again is told apart. It fails
// when there is no such process.
func ProcessStart(pid int) (uint64, error) { return 0, nil }

// BootID tells one boot of this machine from the next; "" where the system has none.
func BootID() string { return "" }
