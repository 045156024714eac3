// Package plugins is the contract between the engine and what it runs: a stage
// (or an evaluator) described, checked and run in a process of its own.
//
// It holds Go types and nothing else: how they cross the process boundary is
// plugins/internal/wire, how to serve them is plugins/sdk, how to start such a
// process is plugins/host. It imports nothing of ours.
package plugins

import (
	"context"
	"encoding/json"
)

// Stage is what a plugin serves. Built-in and foreign stages are the same thing.
type Stage interface {
	// Describe says what the stage is. It is pure: same binary, same answer.
	Describe() Description
	// Check looks for everything that would make Run fail, before anything starts.
	// It must not write. The error is for a check that could not be made; what is
	// wrong with the request is a Problem in the report.
	Check(ctx context.Context, req CheckRequest) (CheckReport, error)
	// Run does the work. It blocks. When a.Stop is closed it should write a
	// checkpoint and return an error of code Cancelled; ctx is cancelled only
	// when the grace time is over.
	// To end as skipped it returns Result{Skipped: "why"}.
	Run(ctx context.Context, a *Attempt) (Result, error)
}

// Builtin is a stage that is linked into a binary, with the name it describes itself by: to find
// one among many without describing them all, which costs every start of a plugin.
type Builtin struct {
	Name  string
	Stage Stage
}

// Kind tells what a plugin is.
type Kind string

const (
	KindStage     Kind = "stage"
	KindEvaluator Kind = "evaluator"
)

// Description is what a plugin says of itself.
type Description struct {
	Name    string
	Version string
	Kind    Kind
	// Revision is part of the identity of a built-in stage: raised when its
	// output changes for the same input.
	Revision int
	Help     string
	// With is the JSON Schema (an object) of the stage's parameters; see SchemaOf.
	// A field of format "path" is an input: its content is part of the fingerprint.
	With        json.RawMessage
	Outputs     []Output
	Metrics     []MetricSpec
	Checkpoints bool
	// Timeline asks for Attempt.Timeline.
	Timeline bool
	// BuildID tells two builds of one binary apart; set by the sdk.
	BuildID string
}

// Output is a file or folder that Run leaves under Attempt.OutputDir, at Path.
type Output struct {
	Name string
	// Path is relative to the output folder; Name when empty.
	Path      string
	MediaType string
	Help      string
	// Optional outputs may be absent; a required one that is missing or empty
	// fails the attempt.
	Optional bool
	// Volatile outputs hold times, rates or paths; they are no input of anything.
	Volatile bool
}

// MetricSpec names a metric a stage may report.
type MetricSpec struct {
	Name string
	Help string
	// Better is "higher", "lower" or "" when neither is.
	Better string
}

// CheckRequest asks whether a stage could run.
type CheckRequest struct {
	// With holds the resolved parameters as JSON. Paths are absolute. A field fed
	// by an upstream output that does not exist yet is "" and listed in Pending.
	With json.RawMessage
	// Pending lists the dotted field names ("model", "inputs.0") that will be
	// known only when an upstream stage has run.
	Pending    []string
	ProjectDir string
}

// CheckReport is what Check found.
type CheckReport struct {
	Problems []Problem
	Needs    Needs
	// Facts are what else can change the bytes of the outputs: the backend in use,
	// the BLAS library, the number of threads, a server's version. They are part of
	// the fingerprint, and Attempt.Facts hands them to Run. A stage that states any always
	// states one: work for which there were none is reused without asking again.
	Facts map[string]string
}

// Problem is one thing wrong with the parameters or what they point at.
type Problem struct {
	// Field is the dotted name inside `with` ("lora.r"); "" is the stage itself.
	Field string
	// Code is bad_input, or unavailable / out_of_disk / out_of_memory for a
	// resource that is missing (exit code 5).
	Code    Code
	Message string
	// Hint says what to do about it.
	Hint string
}

// Needs says what a run will take, as far as it can be known. Bytes; zero = unknown.
type Needs struct {
	Memory int64 // peak, of the stage's process
	Disk   int64 // written below the attempt's folder
	GPU    int   // devices
}

// Result is how a successful Run ends.
type Result struct {
	// Skipped, when not empty, is why the stage did not do its work.
	Skipped string
	// Metrics are the final values. NaN and infinities are refused.
	Metrics map[string]float64
}
