package base

import (
	"context"
	"fmt"
	"os"
	"path/filepath"

	"github.com/so8t/so8t/plugins"
	"github.com/so8t/so8t/stages/internal/backend"
	"github.com/so8t/so8t/stages/internal/chat"
	"github.com/so8t/so8t/stages/internal/compute"
	"github.com/so8t/so8t/stages/internal/loop"
	"github.com/so8t/so8t/stages/internal/phi3"
	"github.com/so8t/so8t/stages/internal/tensor"
)

// Run makes the model or passes one on.
func (Stage) Run(ctx context.Context, a *plugins.Attempt) (plugins.Result, error) {
	c, err := parse(a.With)
	if err != nil {
		return plugins.Result{}, err
	}
	dir := filepath.Join(a.OutputDir, modelDir)
	if err := os.MkdirAll(dir, 0o755); err != nil {
		return plugins.Result{}, err
	}
	if c.Model != "" {
		m, err := checkFolder(c.Model)
		if err != nil {
			return plugins.Result{}, plugins.Errorf(plugins.BadInput, "%w", err)
		}
		a.Log(fmt.Sprintf("passing on a model of %d parameters; nothing is trained", m.Parameters()))
		if err := passOn(c.Model, dir); err != nil {
			return plugins.Result{}, err
		}
		return plugins.Result{Metrics: map[string]float64{"parameters": float64(m.Parameters()), "vocabulary": float64(m.Vocab)}}, nil
	}
	return pretrain(ctx, a, c, dir)
}

// pretrain learns the tokenizer and the model.
func pretrain(ctx context.Context, a *plugins.Attempt, c Config, dir string) (plugins.Result, error) {
	if c.Corpus == "" {
		return plugins.Result{}, plugins.Errorf(plugins.BadInput, "neither corpus nor model is given")
	}
	if a.Resume != nil {
		a.Log(fmt.Sprintf("continuing from the checkpoint of step %d", a.Resume.Step))
	}
	a.Log("learning the tokenizer")
	text, err := learn(c)
	if err != nil {
		return plugins.Result{}, err
	}
	arch, err := c.architecture(text.vocabulary)
	if err != nil {
		return plugins.Result{}, plugins.Errorf(plugins.BadInput, "%w", err)
	}
	weights, err := phi3.NewWeights(arch, c.Seed)
	if err != nil {
		return plugins.Result{}, plugins.Errorf(plugins.BadInput, "%w", err)
	}
	be, err := compute.Open(c.Backend, c.Threads)
	if err != nil {
		return plugins.Result{}, err
	}
	defer be.Close()
	m, err := newModel(be, weights, c, text.longest)
	if err != nil {
		return plugins.Result{}, err
	}
	defer m.Release()
	a.Log(fmt.Sprintf("pre-training %d parameters on %d documents (%d tokens of %d) for %d steps of %d tokens; %s",
		arch.Parameters(), len(text.rows), text.tokens, text.vocabulary.size, c.Steps, c.Tokens, compute.Describe(c.Backend, be.Info())))
	run, err := newRun(ctx, a, c, be, m, text.rows)
	if err != nil {
		return plugins.Result{}, err
	}
	s, err := run.Do(ctx)
	if err != nil {
		return plugins.Result{}, loop.Typed(err)
	}
	trained, err := m.Weights()
	if err == nil {
		err = trained.WriteFolder(dir, "float32")
	}
	if err == nil {
		err = chat.WriteFolder(dir, text.tokenizerFile, text.tokenizer, c.Positions)
	}
	if err != nil {
		return plugins.Result{}, err
	}
	return plugins.Result{Metrics: measured(s, arch, text, be)}, nil
}

// measured are the stage's metrics.
func measured(s loop.Summary, arch *phi3.Config, text *corpus, be backend.Backend) map[string]float64 {
	m := map[string]float64{
		"loss": s.Loss, "parameters": float64(arch.Parameters()), "vocabulary": float64(text.tokenizer.Size()),
		"documents": float64(len(text.rows)), "tokens": float64(text.tokens), "steps": float64(s.Steps),
		"peak_memory_bytes": float64(be.Counters().PeakBytes), "seconds": s.Seconds,
	}
	if s.Seconds > 0 {
		m["tokens_per_second"] = float64(s.Tokens) / s.Seconds
	}
	return m
}

func newRun(ctx context.Context, a *plugins.Attempt, c Config, be backend.Backend, m loop.Model, rows []loop.Row) (*loop.Run, error) {
	every, err := c.Checkpoint.Interval()
	if err != nil {
		return nil, plugins.Errorf(plugins.BadInput, "checkpoint.every: %w", err)
	}
	adamw := loop.DefaultAdamW
	adamw.MaxNorm = c.Clip
	r := &loop.Run{
		Backend: be, Model: m, Train: rows, Facts: compute.Facts(be.Info()),
		Settings: loop.Settings{Seed: c.Seed, Size: loop.Size{Tokens: c.Tokens}, Accumulation: 1, Schedule: c.schedule(), AdamW: adamw},
		Curve:    filepath.Join(a.OutputDir, curveFile), Metrics: filepath.Join(a.OutputDir, metricsFile),
		Every: every, Stop: a.Stop, Warn: a.Warn,
		Save: func(step int64, write func(dir string) error) error { return a.SaveCheckpoint(ctx, step, write) },
		OnStep: func(p loop.Point, rate float64) {
			a.Report(plugins.Progress{Done: p.Step, Total: c.Steps, Unit: "step", Message: fmt.Sprintf("loss %.3f", p.Loss)})
			a.Metric("loss", p.Loss, p.Step)
			a.Metric("tokens_per_second", rate, p.Step)
		},
	}
	if a.Resume != nil {
		r.Resume = a.Resume.Path
	}
	return r, nil
}

// newModel trains every weight.
func newModel(be backend.Backend, w *phi3.Weights, c Config, longest int) (*loop.Phi3, error) {
	m, err := phi3.NewBaseModel(be, w, phi3.TrainOptions{MaxLen: longest, Seed: c.Seed})
	if err != nil {
		return nil, err
	}
	var matrices, gains tensor.Params
	for _, p := range m.BaseParams() {
		if p.Tensor().Rows() == 1 {
			gains = append(gains, p)
		} else {
			matrices = append(matrices, p)
		}
	}
	return loop.NewPhi3(m,
		loop.Group{Name: "matrices", Params: matrices, LRScale: 1, Decay: c.WeightDecay, Clip: "all"},
		loop.Group{Name: "gains", Params: gains, LRScale: 1, Clip: "all"},
	), nil
}
