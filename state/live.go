package state

import (
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"sync"
	"time"

	"github.com/rogpeppe/go-internal/robustio"
)

// Live is the progress of a run: written often, never synced, lost with a power cut.
type Live struct {
	Time   time.Time            `json:"time"`
	Epoch  int64                `json:"epoch"`
	Stages map[string]LiveStage `json:"stages,omitempty"` // by instance
}

// LiveStage is the progress of one attempt. Total 0 = unknown.
type LiveStage struct {
	Attempt int     `json:"attempt"`
	Done    int64   `json:"done"`
	Total   int64   `json:"total,omitempty"`
	Unit    string  `json:"unit,omitempty"`
	Message string  `json:"message,omitempty"`
	Rate    float64 `json:"rate,omitempty"` // units a second
	Metrics Metrics `json:"metrics,omitempty"`
}

// liveInterval keeps live.json at four writes a second.
const liveInterval = 250 * time.Millisecond

// LiveWriter writes live.json at most four times a second; the last change is always
// written. Its methods may be called from several goroutines.
type LiveWriter struct {
	path string

	mu     sync.Mutex
	live   Live        // guarded by mu
	last   time.Time   // of the last write; guarded by mu
	timer  *time.Timer // set while a change waits for its time; guarded by mu
	closed bool        // guarded by mu
	err    error       // first of writing; guarded by mu
}

// NewLiveWriter makes the writer of a run, whose folder exists. Its owner calls Close.
func NewLiveWriter(dir, run string, epoch int64) *LiveWriter {
	return &LiveWriter{
		path: filepath.Join(RunDir(dir, run), liveName),
		live: Live{Epoch: epoch, Stages: map[string]LiveStage{}},
	}
}

// Set changes one instance's progress.
func (w *LiveWriter) Set(instance string, s LiveStage) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.live.Stages[instance] = s
	w.changed()
}

// Remove forgets an instance that has ended.
func (w *LiveWriter) Remove(instance string) {
	w.mu.Lock()
	defer w.mu.Unlock()
	delete(w.live.Stages, instance)
	w.changed()
}

// changed writes now or arranges for it; w.mu is held.
func (w *LiveWriter) changed() {
	if w.closed || w.timer != nil {
		return
	}
	wait := liveInterval - time.Since(w.last)
	if wait <= 0 {
		w.write()
		return
	}
	w.timer = time.AfterFunc(wait, func() {
		w.mu.Lock()
		defer w.mu.Unlock()
		if w.timer != nil {
			w.timer = nil
			w.write()
		}
	})
}

// write replaces the file, so that a reader sees the former whole one or this; w.mu is held.
// Windows replaces no file while somebody reads it: robustio tries again, here and wherever
// this package renames (virus scanners read what was just written).
func (w *LiveWriter) write() {
	w.last = time.Now()
	w.live.Time = w.last.UTC()
	doc, err := json.Marshal(w.live)
	if err == nil {
		err = os.WriteFile(w.path+".tmp", doc, 0o666)
	}
	if err == nil {
		err = robustio.Rename(w.path+".tmp", w.path)
	}
	if err != nil && w.err == nil {
		w.err = fmt.Errorf("writing progress: %w", err)
	}
}

// Close writes what is pending and returns the first error there was. Progress is not
// worth failing a run for.
func (w *LiveWriter) Close() error {
	w.mu.Lock()
	defer w.mu.Unlock()
	if w.timer != nil {
		w.timer.Stop()
		w.timer = nil
		w.write()
	}
	w.closed = true
	return w.err
}

// ReadLive reads the progress of a run; the zero Live when there is none, or when a
// power cut left rubbish.
func ReadLive(dir, run string) (Live, error) {
	b, err := robustio.ReadFile(filepath.Join(RunDir(dir, run), liveName))
	if errors.Is(err, fs.ErrNotExist) {
		return Live{}, nil
	}
	if err != nil {
		return Live{}, fmt.Errorf("reading progress of run %q: %w", run, err)
	}
	var l Live
	if json.Unmarshal(b, &l) != nil {
		return Live{}, nil
	}
	return l, nil
}
