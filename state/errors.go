package state

import (
	"errors"
	"fmt"
	"strings"
)

// Errors a caller tells apart with errors.Is.
var (
	// ErrNotFound: the record asked for does not exist.
	ErrNotFound = errors.New("no such record")
	// ErrNoRun: no run has that id or prefix, or there is none yet.
	ErrNoRun = errors.New("no such run")
	// ErrFenced: a newer engine has taken the run over; the write was refused and
	// whoever tried it should end.
	ErrFenced = errors.New("a newer engine has taken over this run")
	// ErrDamaged, ErrTooNew and ErrHeld are what *DamagedError, *TooNewError and
	// *HeldError match.
	ErrDamaged = errors.New("state is damaged")
	ErrTooNew  = errors.New("state is of a newer version")
	ErrHeld    = errors.New("held by another process")
	// ErrCollected: what was to be reused has been removed by a collection meanwhile.
	ErrCollected = errors.New("it has been removed by `so8t gc`")
	// ErrTransition: the record may not go from its outcome to the one written.
	ErrTransition = errors.New("illegal transition")
)

// noRunYet is ErrNoRun where the newest run was meant.
type noRunYet struct{}

func (noRunYet) Error() string        { return "no such run: there is none yet; `so8t run` starts one" }
func (noRunYet) Is(target error) bool { return target == ErrNoRun }

// DamagedError says that the state on disk is not what was written.
type DamagedError struct {
	Path   string
	Reason string
}

func (e *DamagedError) Error() string {
	return fmt.Sprintf("state %q is damaged: %s (`so8t check` tells more, `so8t check --repair` rebuilds it from the runs' journals)", e.Path, e.Reason)
}

// Is matches ErrDamaged.
func (e *DamagedError) Is(target error) bool { return target == ErrDamaged }

// TooNewError says that a newer version of the program wrote the state.
type TooNewError struct {
	Path             string
	Found, Supported int // schema versions
}

func (e *TooNewError) Error() string {
	return fmt.Sprintf("state %q has schema version %d, this program knows up to %d: use the newer program that wrote it", e.Path, e.Found, e.Supported)
}

// Is matches ErrTooNew.
func (e *TooNewError) Is(target error) bool { return target == ErrTooNew }

// HeldError says that a live process holds a lock.
type HeldError struct {
	What   string // "run 20260102-…"
	Holder Holder
}

func (e *HeldError) Error() string {
	return fmt.Sprintf("%s is held by %s", e.What, e.Holder)
}

// Is matches ErrHeld.
func (e *HeldError) Is(target error) bool { return target == ErrHeld }

// CannotLockError says that the file system of Path has no locks one can trust.
type CannotLockError struct {
	Path       string
	FileSystem string
}

func (e *CannotLockError) Error() string {
	return fmt.Sprintf("%q lies on %s, whose file locks cannot be trusted: set SO8T_STATE to a folder on a local disk", e.Path, e.FileSystem)
}

// AmbiguousError says that a prefix fits several runs.
type AmbiguousError struct {
	Prefix     string
	Candidates []string // newest first
}

func (e *AmbiguousError) Error() string {
	const shown = 5
	list := e.Candidates
	more := ""
	if len(list) > shown {
		more = fmt.Sprintf(" and %d more", len(list)-shown)
		list = list[:shown]
	}
	return fmt.Sprintf("run %q fits %s%s: type more of it", e.Prefix, strings.Join(list, ", "), more)
}
