package engine

// Action is what a plan means to do with an instance.
type Action string

const (
	ActionRun     Action = "run"
	ActionReuse   Action = "reuse"
	ActionSkip    Action = "skip"
	ActionBlocked Action = "blocked"
)

// Selection narrows a plan. Each entry is a stage, an instance or a glob over both.
type Selection struct {
	Only  []string
	From  []string
	Until []string
	// Force runs these though they are done, without their checkpoints.
	Force    []string
	ForceAll bool
}

// PlannedStage is one instance of a plan.
type PlannedStage struct {
	Stage    string
	Instance string
	Action   Action
	Reason   string
	Changes  []Change
	// FromRun holds the outputs that are reused.
	FromRun string
	// Needs are the instances this one depends on.
	Needs []string
}
