package loop

import (
	"bufio"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strconv"

	"github.com/so8t/so8t/stages/internal/tfevents"
)

// charts are the points once more, for who draws them with other tools: a table and a file of
// events for TensorBoard. Both follow from the lines of metrics alone.
type charts struct {
	csv, events *os.File
}

// column is a field of timedPoint in both files; ok is false where the step has none.
type column struct {
	name  string
	value func(p timedPoint) (v float64, ok bool)
}

func always(f func(p timedPoint) float64) func(timedPoint) (float64, bool) {
	return func(p timedPoint) (float64, bool) { return f(p), true }
}

var columns = []column{
	{"epoch", always(func(p timedPoint) float64 { return p.Epoch })},
	{"loss", always(func(p timedPoint) float64 { return p.Loss })},
	{"ce", always(func(p timedPoint) float64 { return p.CE })},
	{"pet", always(func(p timedPoint) float64 { return p.PET })},
	{"pet_weight", always(func(p timedPoint) float64 { return p.PETWeight })},
	{"lr", always(func(p timedPoint) float64 { return p.LR })},
	{"grad_norm", always(func(p timedPoint) float64 { return p.GradNorm })},
	{"gate_grad_norm", func(p timedPoint) (float64, bool) { return p.GateGradNorm, p.GateGradNorm != 0 }},
	{"eval_loss", func(p timedPoint) (float64, bool) {
		if p.EvalLoss == nil {
			return 0, false
		}
		return *p.EvalLoss, true
	}},
	{"tokens", always(func(p timedPoint) float64 { return float64(p.Tokens) })},
	{"targets", always(func(p timedPoint) float64 { return float64(p.Targets) })},
	{"tokens_per_second", always(func(p timedPoint) float64 { return p.TokensPerSecond })},
	{"seconds", always(func(p timedPoint) float64 { return p.Seconds })},
	{"eta_seconds", always(func(p timedPoint) float64 { return p.ETASeconds })},
	{"memory_bytes", always(func(p timedPoint) float64 { return float64(p.MemoryBytes) })},
}

// Names of the files in Run.Charts. TensorBoard looks for "tfevents".
const (
	chartTable  = "metrics.csv"
	chartEvents = "events.out.tfevents.0000000000.so8t"
)

// openCharts makes the files in dir.
func openCharts(dir string) (*charts, error) {
	if err := os.MkdirAll(dir, 0o755); err != nil {
		return nil, err
	}
	c := &charts{}
	for name, into := range map[string]**os.File{chartTable: &c.csv, chartEvents: &c.events} {
		f, err := os.OpenFile(filepath.Join(dir, name), os.O_RDWR|os.O_CREATE|os.O_TRUNC, 0o644)
		if err != nil {
			return nil, errors.Join(err, c.close())
		}
		*into = f
	}
	return c, nil
}

func (c *charts) close() error {
	var err error
	for _, f := range []*os.File{c.csv, c.events} {
		if f != nil {
			err = errors.Join(err, f.Close())
		}
	}
	return err
}

// replay makes both files anew from lines of metrics.
func (c *charts) replay(metrics io.Reader) error {
	for _, f := range []*os.File{c.csv, c.events} {
		if err := f.Truncate(0); err != nil {
			return err
		}
		if _, err := f.Seek(0, io.SeekStart); err != nil {
			return err
		}
	}
	head := []byte("step")
	for _, col := range columns {
		head = append(append(head, ','), col.name...)
	}
	if _, err := c.csv.Write(append(head, '\n')); err != nil {
		return err
	}
	if err := tfevents.WriteHeader(c.events, 0); err != nil {
		return err
	}
	for lines := bufio.NewReader(metrics); ; {
		line, err := lines.ReadBytes('\n')
		if errors.Is(err, io.EOF) {
			return nil // a line without its end was cut off
		}
		var p timedPoint
		if err == nil {
			err = json.Unmarshal(line, &p)
		}
		if err == nil {
			err = c.append(p)
		}
		if err != nil {
			return fmt.Errorf("reading metrics of earlier steps: %w", err)
		}
	}
}

func (c *charts) append(p timedPoint) error {
	row := strconv.AppendInt(nil, p.Step, 10)
	var scalars []tfevents.Scalar
	for _, col := range columns {
		row = append(row, ',')
		if v, ok := col.value(p); ok {
			row = strconv.AppendFloat(row, v, 'g', -1, 64)
			scalars = append(scalars, tfevents.Scalar{Tag: col.name, Value: v})
		}
	}
	if _, err := c.csv.Write(append(row, '\n')); err != nil {
		return err
	}
	return tfevents.WriteScalars(c.events, p.Time, p.Step, scalars)
}
