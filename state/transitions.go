package state

import "fmt"

// The tables below say where a record may go. "" is the record that does not exist yet.
// What an engine may do within its own epoch is strict; the first write of a new epoch
// starts from whatever the former engine left and may reopen it.

var runTransitions = map[RunState][]RunState{
	"":         {RunRunning},
	RunRunning: {RunRunning, RunInterrupted, RunSucceeded, RunFailed, RunCancelled},
}

// runTakeOver: from which states a new engine may take a run over.
var runTakeOver = []RunState{RunRunning, RunInterrupted, RunFailed, RunCancelled}

var stageTransitions = map[Outcome][]Outcome{
	"": {Pending, Running, Cached, Skipped, Failed, Blocked, Cancelled},
	Pending: {Pending, Running, Succeeded, Cached, Skipped, Failed, Blocked, Interrupted,
		Cancelled},
	Running: {Running, Pending, Succeeded, Cached, Skipped, Failed, Interrupted, Cancelled},
}

// stageReopen: what the first write of a newer epoch may make of a stage, whatever it
// was: any of them, for the old outputs may be lost, and the old engine dead in between.
var stageReopen = []Outcome{Pending, Running, Succeeded, Cached, Skipped, Failed, Blocked, Interrupted, Cancelled}

var attemptTransitions = map[Outcome][]Outcome{
	"":        {Running},
	Running:   {Running, Succeeded, Skipped, Failed, Interrupted, Cancelled},
	Succeeded: {Succeeded},
	Skipped:   {Skipped},
	Failed:    {Failed},
	// An attempt whose commit was cut off is adopted when its manifest verifies.
	Interrupted: {Interrupted, Succeeded},
	Cancelled:   {Cancelled},
}

// transitionError says which record refused which step.
func transitionError(what string, from, to any) error {
	if from == "" {
		from = "(new)"
	}
	return fmt.Errorf("%s: %v to %v: %w", what, from, to, ErrTransition)
}
