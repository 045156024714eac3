package engine

import (
	"time"

	"github.com/so8t/so8t/plugins"
)

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
	// SelfPath is the binary that serves the built-in stage NAME when it is started with
	// BuiltinArgs followed by NAME.
	SelfPath    string
	BuiltinArgs []string
	// Command is what the user typed; it tells others who holds a run.
	Command string
	// Jobs bounds how many attempts run at a time; 0 = as many as there are processors.
	Jobs int
	// KeepGoing runs what does not depend on a failed stage.
	KeepGoing bool
	// Verify reads reused outputs whole instead of trusting size and remembered digests.
	Verify bool
	// Grace is how long a stage may take to checkpoint when asked to stop; 0 = 30 s.
	Grace time.Duration
	// Listener gets every event of a run; nil drops them.
	Listener Listener
	// GPUs lists the ids of the machine's GPUs, as CUDA_VISIBLE_DEVICES takes them; nil = none.
	GPUs func() []string
	// Releasers remove what stages left outside of the project, by kind, when a collection has removed
	// the runs that did.
	Releasers map[string]plugins.Releaser
	// Getenv looks up the engine's environment; nil = that of the process.
	Getenv func(string) string
}

// RunOptions belong to one run.
type RunOptions struct {
	Note    string
	Control *Control
	// Parent is the run that this one repeats a part of.
	Parent string
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
