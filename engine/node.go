package engine

import (
	"time"

	"github.com/so8t/so8t/engine/workflow"
	"github.com/so8t/so8t/plugins"
	"github.com/so8t/so8t/plugins/host"
)

// node is one instance of a stage as the engine works with it: everything resolved but the
// outputs of other stages.
type node struct {
	stage, instance string
	index           int // in the order of the plan
	uses            string
	matrix          map[string]any
	// with holds JSON values, and outputRef, []any of them and concat where outputs go.
	with map[string]any
	// env are the declared variables; where a secret goes stands its name as secretMark has it.
	env map[string]string
	// secrets are the names of those the stage receives.
	secrets []string
	// atOnce is how many instances of the stage may run at a time; 0 = any.
	atOnce int

	when condition
	// condition is the expression of `when`, or nil.
	condition *workflow.Condition
	gates     []*workflow.Condition
	// place in the matrix, for what the two read.
	place           workflow.Instance
	continueOnError bool
	timeout         time.Duration // 0 = none
	retry           retryPolicy
	resources       resources
	priority        int
	// frozen: not run; what the instance last made is used, whatever changed.
	frozen  bool
	publish []publication

	needs   []int // nodes this one depends on, ascending
	readers []int // nodes that depend on this one, ascending

	plugin *pluginInfo
	file   string
	line   int
	col    int
}

// condition is the `when` of a stage: one of these, or an expression.
type condition string

const (
	whenSuccess condition = "success"
	whenFailure condition = "failure"
	whenAlways  condition = "always"
)

// resources are what an attempt takes while it runs. Zero is not declared.
type resources struct {
	CPU    int
	GPU    int
	Memory int64 // bytes
	Disk   int64 // bytes
	Slots  map[string]int
}

// outputRef is a place in with where the path of an output goes.
type outputRef struct {
	instance string
	output   string
}

// concat is a text in with that holds outputs: strings and outputRefs in order.
type concat []any

// pluginInfo is one entry of `uses`, described.
type pluginInfo struct {
	uses        string
	description plugins.Description
	schema      *withSchema
	command     host.Command
	// path and digest of a foreign plugin's files; a built-in one is known by name and revision.
	path, digest string
}

// keep is how many checkpoints of an attempt stay: with.checkpoint.keep, else 5.
func (n *node) keep() int {
	const usual = 5
	checkpoint, ok := n.with["checkpoint"].(map[string]any)
	if !ok {
		return usual
	}
	if k, ok := asInt(checkpoint["keep"]); ok && k > 0 {
		return k
	}
	return usual
}
