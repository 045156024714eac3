package engine

import (
	"encoding/json"
	"math"
)

// The views are what the read side answers; their JSON is that of the command line's contract.

// StatusView is one run: `status --json`.
type StatusView struct {
	Run      string      `json:"run"`
	Workflow string      `json:"workflow"`
	Parent   string      `json:"parent"`
	Note     string      `json:"note"`
	State    string      `json:"state"`
	Started  string      `json:"started"`
	Ended    string      `json:"ended"`
	Engine   EngineView  `json:"engine"`
	Stages   []StageView `json:"stages"`
}

// EngineView is the process that holds, or held, the run.
type EngineView struct {
	PID   int    `json:"pid"`
	Alive bool   `json:"alive"`
	Host  string `json:"host,omitempty"`
}

// StageView is one instance in a run.
type StageView struct {
	Stage    string                `json:"stage"`
	Instance string                `json:"instance"`
	Matrix   map[string]any        `json:"matrix,omitempty"`
	Outcome  string                `json:"outcome"`
	Reason   string                `json:"reason"`
	FromRun  string                `json:"from_run"`
	Cause    string                `json:"cause"`
	Needs    []string              `json:"needs"`
	Attempts []AttemptView         `json:"attempts"`
	Outputs  map[string]OutputView `json:"outputs"`
	Metrics  Values                `json:"metrics"`
	Error    *Failure              `json:"error,omitempty"`
}

// AttemptView is one try of a stage.
type AttemptView struct {
	Attempt     int             `json:"attempt"`
	Outcome     string          `json:"outcome"`
	Started     string          `json:"started"`
	Ended       string          `json:"ended"`
	Error       *Failure        `json:"error,omitempty"`
	Checkpoint  *CheckpointView `json:"checkpoint,omitempty"`
	ResumedFrom *ResumePoint    `json:"resumed_from,omitempty"`
	// Adjusted are the parameters that the stage proposed in place of the workflow's.
	Adjusted map[string]json.RawMessage `json:"adjusted,omitempty"`
	Progress *ProgressView              `json:"progress,omitempty"`
	Usage
}

// CheckpointView is the newest checkpoint of an attempt.
type CheckpointView struct {
	Step int64  `json:"step"`
	Path string `json:"path"`
}

// ProgressView is how far a running attempt is, or one came that did not get through.
type ProgressView struct {
	Done    int64  `json:"done"`
	Total   int64  `json:"total"`
	Unit    string `json:"unit"`
	Message string `json:"message,omitempty"`
}

// OutputView is one artifact of a stage.
type OutputView struct {
	Path      string `json:"path"`
	SHA256    string `json:"sha256"`
	Bytes     int64  `json:"bytes"`
	MediaType string `json:"media_type"`
	Volatile  bool   `json:"volatile"`
}

// RunsView is the list of runs, newest first: `runs --json`.
type RunsView struct {
	Runs []RunView `json:"runs"`
}

// RunView is one line of the list of runs.
type RunView struct {
	Run      string         `json:"run"`
	Workflow string         `json:"workflow"`
	State    string         `json:"state"`
	Started  string         `json:"started"`
	Ended    string         `json:"ended"`
	Parent   string         `json:"parent"`
	Note     string         `json:"note"`
	Pinned   bool           `json:"pinned,omitempty"`
	Stages   map[string]int `json:"stages"`
}

// ArtifactsView lists the outputs of a run: `artifacts --json`.
type ArtifactsView struct {
	Artifacts []ArtifactView `json:"artifacts"`
}

// ArtifactView is one output of one instance.
type ArtifactView struct {
	Instance  string `json:"instance"`
	Output    string `json:"output"`
	Path      string `json:"path"`
	SHA256    string `json:"sha256"`
	Bytes     int64  `json:"bytes"`
	MediaType string `json:"media_type"`
	Volatile  bool   `json:"volatile,omitempty"`
}

// MetricsView holds final values and series by instance: `metrics --format json`.
type MetricsView struct {
	Stages map[string]StageMetrics `json:"stages"`
}

// StageMetrics are the metrics of one instance.
type StageMetrics struct {
	Final Values `json:"final"`
	// Series holds [step, value] pairs in the order of the steps.
	Series map[string]Points `json:"series"`
}

// Values are numbers by name. In JSON one that is not finite is null.
type Values map[string]float64

// MarshalJSON writes an object, sorted by name.
func (v Values) MarshalJSON() ([]byte, error) {
	if len(v) == 0 {
		return []byte("{}"), nil
	}
	out := make(map[string]any, len(v))
	for name, value := range v {
		out[name] = finite(value)
	}
	return json.Marshal(out)
}

// Points are [step, value] pairs. In JSON a value that is not finite is null.
type Points [][2]float64

// MarshalJSON writes a list of pairs.
func (p Points) MarshalJSON() ([]byte, error) {
	out := make([][2]any, len(p))
	for i, point := range p {
		out[i] = [2]any{finite(point[0]), finite(point[1])}
	}
	return json.Marshal(out)
}

// finite is v for JSON, which has no NaN and no infinities: nil stands for them.
func finite(v float64) any {
	if math.IsNaN(v) || math.IsInf(v, 0) {
		return nil
	}
	return v
}

// PlanView is `plan --json`.
type PlanView struct {
	Workflow string        `json:"workflow"`
	Stages   []PlannedView `json:"stages"`
}

// PlannedView is one instance of a plan; `explain --json` adds the last two fields.
type PlannedView struct {
	Stage    string   `json:"stage"`
	Instance string   `json:"instance"`
	Action   string   `json:"action"`
	Reason   string   `json:"reason"`
	Changes  []Change `json:"changes"`
	FromRun  string   `json:"from_run"`
	Needs    []string `json:"needs"`
	Outcome  string   `json:"outcome,omitempty"`
	Error    *Failure `json:"error,omitempty"`
	// ResumedFrom is the checkpoint that the newest attempt went on from.
	ResumedFrom *ResumePoint `json:"resumed_from,omitempty"`
}
