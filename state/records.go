package state

import (
	"cmp"
	"encoding/json"
	"time"
)

// RunState is the state of a run as its engine wrote it last. Running is believed
// only while a live engine holds the run's lock; see Query.
type RunState string

const (
	RunRunning     RunState = "running"
	RunInterrupted RunState = "interrupted"
	RunSucceeded   RunState = "succeeded"
	RunFailed      RunState = "failed"
	RunCancelled   RunState = "cancelled"
)

// Outcome is the state of a stage in a run, or of one attempt.
type Outcome string

const (
	Pending     Outcome = "pending"
	Running     Outcome = "running"
	Succeeded   Outcome = "succeeded"
	Cached      Outcome = "cached"
	Skipped     Outcome = "skipped"
	Failed      Outcome = "failed"
	Blocked     Outcome = "blocked"
	Interrupted Outcome = "interrupted"
	Cancelled   Outcome = "cancelled"
)

// Run is one execution of a workflow. What never changes and may be large is in its
// RunPlan, so that a change of state writes little.
type Run struct {
	ID       string   `json:"id"`
	Workflow string   `json:"workflow"` // name in the file
	File     string   `json:"file"`     // relative to the project
	Parent   string   `json:"parent,omitempty"`
	Note     string   `json:"note,omitempty"`
	State    RunState `json:"state"`
	// Epoch counts the engines that have worked on the run. CreateRun makes it 1,
	// TakeOver raises it, and a write that carries an older one is refused.
	Epoch   int64     `json:"epoch"`
	Started time.Time `json:"started"`
	Ended   time.Time `json:"ended,omitzero"`
	// HooksDue: the run has ended, and what is to be done then has yet to be.
	HooksDue bool `json:"hooks_due,omitempty"`
	// Pinned runs are removed by no collection.
	Pinned bool `json:"pinned,omitempty"`
	// Stages counts the instances by their outcomes, of a run that its engine has ended.
	Stages map[Outcome]int `json:"stages,omitempty"`
}

// RunPlan is what a run was asked to do; written once, with its run.
type RunPlan struct {
	Run          string          `json:"run"`
	Source       string          `json:"source"`        // text of the workflow file
	SourceSHA256 string          `json:"source_sha256"` // hex
	Params       json.RawMessage `json:"params,omitempty"`
	Selectors    []string        `json:"selectors,omitempty"`
	// Order lists the instances as the plan runs them; Stages returns them so.
	Order []string `json:"order"`
	// Extra is the engine's own (graph, options); state does not look inside.
	Extra json.RawMessage `json:"extra,omitempty"`
}

// StageRecord is one instance of a stage in one run.
type StageRecord struct {
	Run      string          `json:"run"`
	Instance string          `json:"instance"`
	Stage    string          `json:"stage"`
	Epoch    int64           `json:"epoch"`
	Matrix   json.RawMessage `json:"matrix,omitempty"` // object, axis → value
	Outcome  Outcome         `json:"outcome"`
	Reason   string          `json:"reason,omitempty"`
	Changes  []Change        `json:"changes,omitempty"`
	// FromRun is the run whose outputs a cached stage reuses. A commit of the
	// record is what keeps them from being reclaimed.
	FromRun     string `json:"from_run,omitempty"`
	FromAttempt int    `json:"from_attempt,omitempty"`
	// FromInstance is the instance that made them, when it has another name.
	FromInstance string `json:"from_instance,omitempty"`

	Cause       string                  `json:"cause,omitempty"` // instance that failed, of a blocked one
	Needs       []string                `json:"needs,omitempty"`
	Fingerprint string                  `json:"fingerprint,omitempty"`
	With        json.RawMessage         `json:"with,omitempty"`
	Facts       map[string]string       `json:"facts,omitempty"`
	Attempts    int                     `json:"attempts,omitempty"` // number of the latest
	Started     time.Time               `json:"started,omitzero"`
	Ended       time.Time               `json:"ended,omitzero"`
	Error       *ErrorRecord            `json:"error,omitempty"`
	Outputs     map[string]OutputRecord `json:"outputs,omitempty"`
	Metrics     Metrics                 `json:"metrics,omitempty"`
}

// Change is one part of a fingerprint that differs from an earlier one.
type Change struct {
	Field string          `json:"field"`
	From  json.RawMessage `json:"from,omitempty"`
	To    json.RawMessage `json:"to,omitempty"`
	// Because is the stage whose output brought the change.
	Because string `json:"because,omitempty"`
}

// OutputRecord is one artifact. Path is relative to the state folder, with slashes.
type OutputRecord struct {
	Path      string `json:"path"`
	SHA256    string `json:"sha256"`
	Bytes     int64  `json:"bytes"`
	MediaType string `json:"media_type,omitempty"`
	Volatile  bool   `json:"volatile,omitempty"`
}

// ErrorRecord is a typed failure; Code is one of the plugin contract's.
type ErrorRecord struct {
	Code    string `json:"code"`
	Message string `json:"message"`
	Detail  string `json:"detail,omitempty"`
}

// Attempt is one try of one instance. Number starts at 1 and has no gaps.
type Attempt struct {
	Run         string             `json:"run"`
	Instance    string             `json:"instance"`
	Number      int                `json:"number"`
	Epoch       int64              `json:"epoch"`
	Fingerprint string             `json:"fingerprint"`
	Outcome     Outcome            `json:"outcome"`
	Started     time.Time          `json:"started"`
	Ended       time.Time          `json:"ended,omitzero"`
	Error       *ErrorRecord       `json:"error,omitempty"`
	ResumedFrom *ResumePoint       `json:"resumed_from,omitempty"`
	Process     *ProcessRecord     `json:"process,omitempty"` // the plugin
	Leftovers   []ProcessRecord    `json:"leftovers,omitempty"`
	Checkpoints []CheckpointRecord `json:"checkpoints,omitempty"` // oldest first
	// Adjusted are the parameters that were not those of the workflow, by dotted field.
	Adjusted map[string]json.RawMessage `json:"adjusted,omitempty"`
	// Proposed is what the stage proposed, when it failed, to change for the next attempt.
	Proposed map[string]json.RawMessage `json:"proposed,omitempty"`
	// OutputsLeftOut: the run was imported without the outputs of this attempt.
	OutputsLeftOut bool          `json:"outputs_left_out,omitempty"`
	PeakRSS        int64         `json:"peak_rss,omitempty"` // bytes
	CPUTime        time.Duration `json:"cpu_time,omitempty"` // nanoseconds

	BytesRead    int64 `json:"bytes_read,omitempty"`
	BytesWritten int64 `json:"bytes_written,omitempty"`
}

// ResumePoint says from where an attempt went on.
type ResumePoint struct {
	Run     string `json:"run"`
	Attempt int    `json:"attempt"`
	Step    int64  `json:"step"`
}

// ProcessRecord identifies a process beyond its pid, which the system reuses.
type ProcessRecord struct {
	PID int `json:"pid"`
	// Birth tells the process from any other with its pid, Mark from those of another launch;
	// whoever started it says what they hold.
	Birth string `json:"birth,omitempty"`
	Mark  string `json:"mark,omitempty"`
}

// UnmarshalJSON also reads the names that older records have: boot_id for birth, name for mark.
func (p *ProcessRecord) UnmarshalJSON(b []byte) error {
	type current ProcessRecord
	var r struct {
		current
		OldBirth string `json:"boot_id"`
		OldMark  string `json:"name"`
	}
	if err := json.Unmarshal(b, &r); err != nil {
		return err
	}
	*p = ProcessRecord(r.current)
	p.Birth = cmp.Or(p.Birth, r.OldBirth)
	p.Mark = cmp.Or(p.Mark, r.OldMark)
	return nil
}

// CheckpointRecord is one published checkpoint. Path is relative to the state folder,
// with slashes.
type CheckpointRecord struct {
	Step int64     `json:"step"`
	Path string    `json:"path"`
	Time time.Time `json:"time,omitzero"`
}

// Part is one thing that goes into a fingerprint, kept so that "why" is a diff.
type Part struct {
	Field string          `json:"field"` // "with.lora.r", "inputs.dataset", "plugin"
	Value json.RawMessage `json:"value"`
}

// CacheEntry says where the outputs of a fingerprint are.
type CacheEntry struct {
	Fingerprint string                  `json:"fingerprint"`
	Run         string                  `json:"run"`
	Epoch       int64                   `json:"epoch"` // of the run that wrote it
	Instance    string                  `json:"instance"`
	Attempt     int                     `json:"attempt"`
	Outputs     map[string]OutputRecord `json:"outputs,omitempty"`
	Metrics     Metrics                 `json:"metrics,omitempty"`
	Parts       []Part                  `json:"parts,omitempty"`
	Time        time.Time               `json:"time"`
}

// LatestParts are the parts of the fingerprint that an instance of a workflow had when
// it last ran, whichever run that was.
type LatestParts struct {
	Workflow    string `json:"workflow"`
	Instance    string `json:"instance"`
	Run         string `json:"run"`
	Epoch       int64  `json:"epoch"` // of the run that wrote it
	Fingerprint string `json:"fingerprint"`
	Parts       []Part `json:"parts"`
}
