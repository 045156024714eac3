package engine

import (
	"encoding/json"
	"time"
)

// EventKind names what happened; the words are those of `run --json`.
type EventKind string

const (
	RunStarted   EventKind = "run_started"
	StageStarted EventKind = "stage_started"
	Progressed   EventKind = "progress"
	Measured     EventKind = "metric"
	Logged       EventKind = "log"
	Saved        EventKind = "checkpoint"
	Warned       EventKind = "warning"
	StageEnded   EventKind = "stage_ended"
	RunEnded     EventKind = "run_ended"
)

// Event is one thing that happened in a run. Which fields are set depends on Kind;
// its JSON is one line of `run --json`.
type Event struct {
	Time     time.Time
	Run      string
	Stage    string // "" for events of the run
	Instance string
	Attempt  int
	Kind     EventKind

	// Outcome of stage_ended and run_ended (a run's is its state); "running" in stage_started.
	Outcome string
	// Reason says why a stage runs, was reused, skipped or blocked, or why it waits.
	Reason string
	// FromRun made the reused outputs.
	FromRun string
	// Cause is the stage whose failure blocked this one.
	Cause string
	// ResumedFrom is the checkpoint that an attempt goes on from.
	ResumedFrom *ResumePoint
	// Error of an attempt or a stage that did not succeed.
	Error *Failure
	// Retry is how long the engine waits before the next attempt; 0 = there is none.
	Retry time.Duration
	// Elapsed since the start of the stage or run; in *_ended.
	Elapsed time.Duration
	// Usage of the attempt's process so far; in progress and stage_ended.
	Usage *Usage

	Done, Total int64   // progress
	Unit        string  // progress
	Name        string  // metric
	Value       float64 // metric; null in JSON when it is not finite
	Step        int64   // metric, checkpoint
	Level       string  // log: debug, info, warn, error
	Message     string  // progress, log, warning
	Path        string  // checkpoint, relative to the project

	// Stages lists the instances in scheduling order, Jobs how many run at a time; in run_started.
	Stages []string
	Jobs   int
}

// Listener receives the events of a run, one at a time, in order. It must return soon:
// the engine waits for it.
type Listener func(Event)

// ResumePoint is the checkpoint that an attempt went on from.
type ResumePoint struct {
	Run     string `json:"run"`
	Attempt int    `json:"attempt"`
	Step    int64  `json:"step"`
}

// Failure is an error with its class, as it is stored and shown.
type Failure struct {
	Code    string `json:"code"`
	Message string `json:"message"`
	// Detail holds the last lines of stderr and the like.
	Detail string `json:"detail,omitempty"`
}

// MarshalJSON writes the keys that belong to the event's kind.
func (e Event) MarshalJSON() ([]byte, error) {
	m := map[string]any{
		"time": e.Time.UTC().Format(time.RFC3339Nano), "run": e.Run, "event": string(e.Kind),
	}
	if e.Instance != "" {
		m["stage"], m["instance"] = e.Stage, e.Instance
	}
	if e.Attempt > 0 {
		m["attempt"] = e.Attempt
	}
	e.addOutcome(m)
	switch e.Kind {
	case RunStarted:
		m["stages"], m["jobs"] = e.Stages, e.Jobs
	case Progressed:
		m["done"], m["total"], m["unit"] = e.Done, e.Total, e.Unit
	case Measured:
		m["name"], m["value"], m["step"] = e.Name, finite(e.Value), e.Step
	case Logged:
		m["level"] = e.Level
	case Saved:
		m["step"], m["path"] = e.Step, e.Path
	case StageEnded, RunEnded:
		m["elapsed_s"] = e.Elapsed.Seconds()
	}
	if e.Message != "" || e.Kind == Logged || e.Kind == Warned {
		m["message"] = e.Message
	}
	return json.Marshal(m)
}

func (e Event) addOutcome(m map[string]any) {
	for key, text := range map[string]string{
		"outcome": e.Outcome, "reason": e.Reason, "from_run": e.FromRun, "cause": e.Cause,
	} {
		if text != "" {
			m[key] = text
		}
	}
	if e.ResumedFrom != nil {
		m["resumed_from"] = e.ResumedFrom
	}
	if e.Error != nil {
		m["error"] = e.Error
	}
	if e.Retry > 0 {
		m["retry_s"] = e.Retry.Seconds()
	}
	if e.Usage != nil {
		e.Usage.addTo(m)
	}
}
