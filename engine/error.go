package engine

import (
	"errors"
	"fmt"
	"strings"

	"github.com/so8t/so8t/state"
)

var (
	// ErrNoRun: no run has this id or prefix.
	ErrNoRun = state.ErrNoRun
	// ErrNothingToResume: every run is done, or held by an engine.
	ErrNothingToResume = errors.New("nothing to resume")
	// ErrNoStage: the run or workflow has no such stage.
	ErrNoStage = errors.New("no such stage")
)

// RunHeldError says that another engine holds the run (exit code 3).
type RunHeldError struct {
	Run  string
	PID  int
	Host string
}

func (e *RunHeldError) Error() string {
	return fmt.Sprintf("run %s is held by the engine with pid %d on %s", e.Run, e.PID, e.Host)
}

// SelectionError says that what was asked for cannot be run as selected (exit code 2).
type SelectionError struct{ Message string }

func (e *SelectionError) Error() string { return e.Message }

// ChangedError says that the workflow or a plugin is not what the run was started with.
type ChangedError struct {
	Run     string
	Changes []Change
}

func (e *ChangedError) Error() string {
	parts := make([]string, len(e.Changes))
	for i, c := range e.Changes {
		parts[i] = c.String()
	}
	return fmt.Sprintf("run %s was started with something else: %s; pass --accept-changes to go on with what there is now",
		e.Run, strings.Join(parts, "; "))
}

// StageProblem is something that Check found in one stage.
type StageProblem struct {
	Instance string
	// Field is the dotted name inside with; "" is the stage itself.
	Field   string
	Code    string
	Message string
	Hint    string
	// File, Line and Col say where the stage (or the field) stands in the workflow.
	File      string
	Line, Col int
}

// CheckError holds everything that the stages' checks found before anything started.
type CheckError struct{ Problems []StageProblem }

func (e *CheckError) Error() string {
	var b strings.Builder
	for i, p := range e.Problems {
		if i > 0 {
			b.WriteByte('\n')
		}
		fmt.Fprintf(&b, "stage %q", p.Instance)
		if p.Field != "" {
			fmt.Fprintf(&b, ", field %q", p.Field)
		}
		fmt.Fprintf(&b, ": %s", p.Message)
		if p.Hint != "" {
			fmt.Fprintf(&b, " (%s)", p.Hint)
		}
	}
	return b.String()
}

// ResourceMissing reports whether all that is wrong is a missing resource (exit code 5, else 2).
func (e *CheckError) ResourceMissing() bool {
	for _, p := range e.Problems {
		switch p.Code {
		case "unavailable", "out_of_disk", "out_of_memory":
		default:
			return false
		}
	}
	return len(e.Problems) > 0
}
