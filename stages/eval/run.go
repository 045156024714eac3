package eval

import (
	"context"
	"path/filepath"
	"time"

	"github.com/so8t/so8t/plugins"
	"github.com/so8t/so8t/stages/internal/backend"
	"github.com/so8t/so8t/stages/internal/compute"
	"github.com/so8t/so8t/stages/internal/dataset"
	"github.com/so8t/so8t/stages/internal/jsonfile"
	"github.com/so8t/so8t/stages/internal/metrics"
	"github.com/so8t/so8t/stages/internal/scoring"
	"github.com/so8t/so8t/stages/internal/so8t"
)

// evaluation is one run of the stage.
type evaluation struct {
	c         Config
	a         *plugins.Attempt
	be        backend.Backend
	rows      []dataset.Row
	y         []int // [n] true label
	resamples [][]int
	calibrate calibrationFile
	adapter   *so8t.Adapter // nil: none
	speed     speeds
}

// calibrationFile is the part of the calibrate stage's temperature.json that decides.
type calibrationFile struct {
	Temperature    float64  `json:"temperature"`
	AllowThreshold float64  `json:"allow_threshold"`
	Labels         []string `json:"labels"`
}

// speeds are tokens per second; they differ from run to run and stay out of the outputs.
type speeds struct{ prefill, decode float64 }

// Run measures all models and writes.
func (Stage) Run(ctx context.Context, a *plugins.Attempt) (plugins.Result, error) {
	e := &evaluation{a: a}
	if err := plugins.DecodeWith(a.With, &e.c); err != nil {
		return plugins.Result{}, err
	}
	if err := e.read(); err != nil {
		return plugins.Result{}, plugins.Errorf(plugins.BadInput, "%w", err)
	}
	be, err := compute.Open(e.c.Backend, e.c.Threads)
	if err != nil {
		return plugins.Result{}, err
	}
	defer func() { _ = be.Close() }()
	e.be = be
	return e.run(ctx)
}

func (e *evaluation) read() error {
	rows, err := dataset.ReadFile(e.c.Data, true)
	if err != nil {
		return err
	}
	e.rows = spread(rows, e.c.Limit)
	e.y = labelIndices(e.rows)
	e.resamples = metrics.Resamples(len(e.rows), e.c.Resamples, e.c.Seed)
	e.calibrate = calibrationFile{Temperature: 1, AllowThreshold: scoring.MinThreshold}
	if e.c.Temperature != "" {
		if err := jsonfile.Read(e.c.Temperature, &e.calibrate); err != nil {
			return err
		}
	}
	if !(e.calibrate.Temperature > 0) {
		return plugins.Errorf(plugins.BadInput, "temperature %v in %q is not positive", e.calibrate.Temperature, e.c.Temperature)
	}
	if e.c.Adapter != "" {
		e.adapter, err = so8t.ReadAdapter(e.c.Adapter)
	}
	return err
}

// spread picks n rows at even distances; all when n is 0 or too large.
func spread[T any](rows []T, n int) []T {
	if n == 0 || n >= len(rows) {
		return rows
	}
	out := make([]T, n)
	for i := range out {
		out[i] = rows[i*len(rows)/n]
	}
	return out
}

func labelIndices(rows []dataset.Row) []int {
	y := make([]int, len(rows))
	for i, row := range rows {
		for k, label := range dataset.Labels {
			if row.Label == label {
				y[i] = k
			}
		}
	}
	return y
}

// candidate is one of the models that are measured.
type candidate struct {
	name, path string
	adapter    *so8t.Adapter // beside the weights at path, or nil
}

// candidates lists them; tuned comes first, the others are compared with it.
func (e *evaluation) candidates() []candidate {
	models := []candidate{{tuned, e.c.Model, nil}}
	if e.c.Base == "" {
		return models
	}
	models = append(models, candidate{base, e.c.Base, nil})
	if e.adapter != nil && e.adapter.Gates != nil {
		models = append(models, candidate{nogate, e.c.Base, e.adapter.WithoutGates()})
	}
	return models
}

func (e *evaluation) run(ctx context.Context) (plugins.Result, error) {
	r := newReport(e)
	var lines []prediction
	models := e.candidates()
	total := int64(len(models) * len(e.rows))
	for i, m := range models {
		if e.a.Stopping() || ctx.Err() != nil {
			return plugins.Result{}, plugins.Errorf(plugins.Cancelled, "stopped before model %q", m.name)
		}
		done := int64(i * len(e.rows))
		judged, err := e.judge(ctx, m, func(n int) { e.a.Progress(done+int64(n), total, "row") })
		if err != nil {
			return plugins.Result{}, err
		}
		if err := r.add(m.name, judged); err != nil {
			return plugins.Result{}, err
		}
		lines = append(lines, e.predictions(m.name, judged)...)
	}
	if err := r.addBaselines(); err != nil {
		return plugins.Result{}, err
	}
	if err := writePredictions(filepath.Join(e.a.OutputDir, "predictions.jsonl"), lines); err != nil {
		return plugins.Result{}, err
	}
	if err := jsonfile.Write(filepath.Join(e.a.OutputDir, "metrics.json"), r); err != nil {
		return plugins.Result{}, err
	}
	return plugins.Result{Metrics: r.flat(e.speed)}, nil
}

// judged is what one model said of the rows.
type judged struct {
	scores  [][]float64 // [n][label], nats
	outputs []string    // [n]; "" where nothing was generated
	long    []string
}

func (e *evaluation) judge(ctx context.Context, m candidate, progress func(int)) (judged, error) {
	longest, err := scoring.Longest(m.path, e.rows)
	if err != nil {
		return judged{}, plugins.Errorf(plugins.BadInput, "model %q: %w", m.name, err)
	}
	room := longest
	if m.name == tuned {
		room += max(e.c.MaxNew, e.c.LongTokens)
	}
	j, err := scoring.Open(e.be, m.path, m.adapter, room)
	if err != nil {
		return judged{}, plugins.Errorf(plugins.BadInput, "model %q: %w", m.name, err)
	}
	defer func() { _ = j.Close() }()
	var out judged
	start := time.Now()
	if out.scores, err = j.Scores(e.rows, progress); err != nil {
		return judged{}, err
	}
	took := time.Since(start)
	out.outputs = make([]string, len(e.rows))
	if m.name != tuned {
		return out, nil
	}
	e.speed.prefill = float64(scoring.Tokens(j, e.rows)) / took.Seconds()
	return out, e.generate(ctx, j, &out)
}
