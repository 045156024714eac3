package loop

import (
	"encoding/json"
	"fmt"
	"io"
	"os"
	"path/filepath"
)

// Point is one optimiser step of the curve. Every field is a function of the run's inputs
// alone: the file of Points is the same bytes whether or not the run was interrupted.
type Point struct {
	Step      int64   `json:"step"`  // 1 for the first
	Epoch     float64 `json:"epoch"` // passes over the rows, after the step
	Loss      float64 `json:"loss"`  // ce + pet_weight·pet, nats
	CE        float64 `json:"ce"`    // nats per target token of the window
	PET       float64 `json:"pet"`   // per triple of the window, before its weight
	PETWeight float64 `json:"pet_weight"`
	LR        float64 `json:"lr"`
	// GradNorm is that of all parameters, before clipping; GateGradNorm that of the gates.
	GradNorm     float64  `json:"grad_norm"`
	GateGradNorm float64  `json:"gate_grad_norm,omitempty"`
	Tokens       int64    `json:"tokens"`  // of the window, prompt included
	Targets      int64    `json:"targets"` // of the window
	EvalLoss     *float64 `json:"eval_loss,omitempty"`
}

// timedPoint is a Point with what depends on the clock.
type timedPoint struct {
	Point
	TokensPerSecond float64 `json:"tokens_per_second"`
	Seconds         float64 `json:"seconds"`      // since the attempt began
	ETASeconds      float64 `json:"eta_seconds"`  // until the last step, at the attempt's mean pace
	MemoryBytes     int64   `json:"memory_bytes"` // of the backend's buffers
	Time            float64 `json:"time"`         // seconds since 1970
}

const (
	curveFile   = "curve.jsonl"
	metricsFile = "metrics.jsonl"
)

// journal writes the two files of Points. A checkpoint carries copies of both, so that
// what a killed attempt wrote after its last checkpoint is never seen again.
type journal struct {
	curve, metrics *os.File
	charts         *charts // nil: none are wanted
}

// openJournal creates the files of a run; its checkpoint's lines, if there is one, come first.
func openJournal(r *Run) (*journal, error) {
	j := &journal{}
	from := r.Resume
	for _, f := range []struct {
		into       **os.File
		path, name string
	}{{&j.curve, r.Curve, curveFile}, {&j.metrics, r.Metrics, metricsFile}} {
		file, err := os.OpenFile(f.path, os.O_RDWR|os.O_CREATE|os.O_TRUNC, 0o644)
		if err == nil && from != "" {
			err = copyInto(file, filepath.Join(from, f.name))
		}
		*f.into = file
		if err != nil {
			return nil, fmt.Errorf("opening curve: %w", joinClose(err, j.close()))
		}
	}
	if r.Charts == "" {
		return j, nil
	}
	var err error
	if j.charts, err = openCharts(r.Charts); err == nil {
		err = j.replay()
	}
	if err != nil {
		return nil, fmt.Errorf("opening charts: %w", joinClose(err, j.close()))
	}
	return j, nil
}

// replay makes the charts anew from the lines of metrics.
func (j *journal) replay() error {
	if j.charts == nil {
		return nil
	}
	size, err := j.metrics.Seek(0, io.SeekCurrent)
	if err != nil {
		return err
	}
	return j.charts.replay(io.NewSectionReader(j.metrics, 0, size))
}

func copyInto(w io.Writer, path string) error {
	r, err := os.Open(path)
	if err != nil {
		return err
	}
	defer r.Close()
	_, err = io.Copy(w, r)
	return err
}

func (j *journal) append(p timedPoint) error {
	for _, l := range []struct {
		to   *os.File
		line any
	}{{j.curve, p.Point}, {j.metrics, p}} {
		b, err := json.Marshal(l.line)
		if err == nil {
			_, err = l.to.Write(append(b, '\n'))
		}
		if err != nil {
			return fmt.Errorf("writing curve: %w", err)
		}
	}
	if j.charts != nil {
		if err := j.charts.append(p); err != nil {
			return fmt.Errorf("writing charts: %w", err)
		}
	}
	return nil
}

// lines are what was written up to a moment. More may be appended while they are copied.
type lines struct {
	of    *journal
	sizes [2]int64 // of curve and metrics
	err   error
}

func (j *journal) mark() lines {
	l := lines{of: j}
	for i, f := range []*os.File{j.curve, j.metrics} {
		size, err := f.Seek(0, io.SeekCurrent)
		if err != nil {
			l.err = err
		}
		l.sizes[i] = size
	}
	return l
}

// cut takes back what was written since.
func (j *journal) cut(l lines) error {
	for i, f := range []*os.File{j.curve, j.metrics} {
		err := f.Truncate(l.sizes[i])
		if err == nil {
			_, err = f.Seek(l.sizes[i], io.SeekStart)
		}
		if err != nil {
			return fmt.Errorf("taking back lines of the curve: %w", err)
		}
	}
	return j.replay()
}

// copyTo puts them into a checkpoint's folder.
func (l lines) copyTo(dir string) error {
	if l.err != nil {
		return l.err
	}
	for i, f := range []struct {
		from *os.File
		name string
	}{{l.of.curve, curveFile}, {l.of.metrics, metricsFile}} {
		w, err := os.Create(filepath.Join(dir, f.name))
		if err != nil {
			return err
		}
		_, err = io.Copy(w, io.NewSectionReader(f.from, 0, l.sizes[i]))
		if err := joinClose(err, w.Close()); err != nil {
			return err
		}
	}
	return nil
}

func (j *journal) close() error {
	var err error
	for _, f := range []*os.File{j.curve, j.metrics} {
		if f != nil {
			err = joinClose(err, f.Close())
		}
	}
	if j.charts != nil {
		err = joinClose(err, j.charts.close())
	}
	return err
}

// joinClose keeps the first error of the two.
func joinClose(err, closing error) error {
	if err != nil {
		return err
	}
	return closing
}
