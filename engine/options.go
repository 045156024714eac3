package engine

import "github.com/so8t/so8t/plugins"

// Builtin is a stage that is linked into the binary. Describing it costs no process; checking
// and running it goes through a process of its own, as for any plugin.
type Builtin struct {
	Name     string
	Describe func() plugins.Description
}

// Options configure an Engine.
type Options struct {
	// ProjectDir is absolute; every relative path of a workflow starts there.
	ProjectDir string
	// StateDir is where runs and the database live; ProjectDir/.so8t when empty.
	StateDir string
	Builtins []Builtin
	// SelfPath is the binary that serves built-in stages; BuiltinArgs comes before the stage's name.
	SelfPath    string
	BuiltinArgs []string
	// Jobs bounds how many attempts run at a time; 0 = as many as there are processors.
	Jobs int
	// KeepGoing runs what does not depend on a failed stage.
	KeepGoing bool
	// Verify reads reused outputs whole instead of trusting size and remembered digests.
	Verify bool
	// Listener gets every event of a run; nil drops them.
	Listener Listener
}

// RunOptions belong to one run.
type RunOptions struct {
	Note    string
	Control *Control
}

// Outcome is how a run ended.
type Outcome struct {
	Run string
	// State: succeeded, failed, interrupted, cancelled.
	State string
	// Signal is what interrupted it, or "".
	Signal Signal
	// Stages counts instances by outcome.
	Stages map[string]int
}
