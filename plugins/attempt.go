package plugins

import (
	"context"
	"encoding/json"
	"fmt"
	"os"
	"sync"
	"time"
)

// Attempt is one try of one stage: what Run gets, and the way it reports back.
// Its reporting methods may be called from several goroutines.
type Attempt struct {
	Stage   string // name in the workflow
	Run     string // run id; must not reach an output
	Number  int    // 1, 2, …
	With    json.RawMessage
	Facts   map[string]string // as Check found them
	Secrets map[string]string

	ProjectDir    string
	OutputDir     string // exists, empty
	ScratchDir    string // made by Scratch, deleted afterwards
	CheckpointDir string // where SaveCheckpoint publishes
	// Resume is the checkpoint to continue from, or nil.
	Resume *Checkpoint

	// Timeline is what the stages that this one depends on took, of a stage that asks for it. It differs
	// every time and is no part of the fingerprint: only volatile outputs may hold it.
	Timeline []Span

	// Stop is closed when the stage should checkpoint and return.
	Stop <-chan struct{}

	// Emit receives every event; the sdk sets it. Nil drops them.
	Emit func(Event)
	// Publish makes a finished folder durable under its final name (manifest,
	// fsync, rename); the sdk sets it.
	Publish func(ctx context.Context, c Checkpoint, write func(dir string) error) (Checkpoint, error)

	mu sync.Mutex
}

// Scratch makes the folder for what is not to be kept, and returns it. Most stages need none, so
// it is not there before.
func (a *Attempt) Scratch() (string, error) {
	if err := os.MkdirAll(a.ScratchDir, 0o777); err != nil {
		return "", fmt.Errorf("making the scratch folder: %w", err)
	}
	return a.ScratchDir, nil
}

// Checkpoint is a published folder from which a stage can go on.
type Checkpoint struct {
	Step int64
	Path string // absolute in Go, relative to the project in JSON
	Run  string // where it was made
	// Attempt that made it.
	Attempt int
}

// Span is one attempt of a stage that has ended, or a stage that ended without one. What is not known
// is zero.
type Span struct {
	Instance string
	Outcome  string
	Attempt  int    // 0: it made none
	Run      string // whose attempt it is, of a stage whose outputs are reused; else ""

	Started, Ended time.Time
	CPU            time.Duration
	PeakRSS        int64 // bytes
	Read, Written  int64 // bytes
}

// Event is one thing a stage reports: Progress, Metric, LogLine, Saved, Warning.
type Event interface{ event() }

// Progress says how far the attempt is. Total 0 = unknown.
type Progress struct {
	Done, Total int64
	Unit        string
	Message     string
}

// Metric is one value of a series.
type Metric struct {
	Name  string
	Value float64
	Step  int64
}

// LogLine is a line for the attempt's log. Level: debug, info, warn, error.
type LogLine struct {
	Level   string
	Message string
}

// Saved says that a checkpoint is durable.
type Saved struct{ Checkpoint Checkpoint }

// Warning is something the user should see though the stage goes on.
type Warning struct{ Message string }

func (Progress) event() {}
func (Metric) event()   {}
func (LogLine) event()  {}
func (Saved) event()    {}
func (Warning) event()  {}

// Report hands one event on. Events of one attempt arrive in the order of the calls.
func (a *Attempt) Report(e Event) {
	if a.Emit == nil {
		return
	}
	a.mu.Lock()
	defer a.mu.Unlock()
	a.Emit(e)
}

// Progress, Metric, Log and Warn are short forms of Report.
func (a *Attempt) Progress(done, total int64, unit string) {
	a.Report(Progress{Done: done, Total: total, Unit: unit})
}

// Metric reports one value of the series name at step.
func (a *Attempt) Metric(name string, value float64, step int64) {
	a.Report(Metric{Name: name, Value: value, Step: step})
}

// Log writes one line of level info to the attempt's log.
func (a *Attempt) Log(message string) { a.Report(LogLine{Level: "info", Message: message}) }

// Warn reports something the user should see.
func (a *Attempt) Warn(message string) { a.Report(Warning{Message: message}) }

// Stopping reports whether the stage was asked to stop.
func (a *Attempt) Stopping() bool {
	select {
	case <-a.Stop:
		return true
	default:
		return false
	}
}

// UntilStopped returns a context that ends when the stage is asked to stop, for work that has no
// checkpoint to save. Call cancel when the work is done.
func (a *Attempt) UntilStopped(ctx context.Context) (context.Context, context.CancelFunc) {
	ctx, cancel := context.WithCancel(ctx)
	go func() {
		select {
		case <-a.Stop:
			cancel()
		case <-ctx.Done():
		}
	}()
	return ctx, cancel
}

// SaveCheckpoint calls write with an empty folder, makes what it left there durable,
// publishes it and reports it. When it returns nil, the checkpoint survives a power cut.
func (a *Attempt) SaveCheckpoint(ctx context.Context, step int64, write func(dir string) error) error {
	c, err := a.Publish(ctx, Checkpoint{Step: step, Run: a.Run, Attempt: a.Number}, write)
	if err != nil {
		return err
	}
	a.Report(Saved{Checkpoint: c})
	return nil
}
