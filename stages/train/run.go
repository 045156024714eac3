package train

import (
	"context"
	"fmt"
	"math"
	"os"
	"path/filepath"
	"strings"

	"github.com/so8t/so8t/plugins"
	"github.com/so8t/so8t/stages/internal/backend"
	"github.com/so8t/so8t/stages/internal/compute"
	"github.com/so8t/so8t/stages/internal/loop"
	"github.com/so8t/so8t/stages/internal/phi3"
	"github.com/so8t/so8t/stages/internal/so8t"
)

// Run trains and writes the adapter.
func (Stage) Run(ctx context.Context, a *plugins.Attempt) (plugins.Result, error) {
	c, err := parse(a.With)
	if err != nil {
		return plugins.Result{}, err
	}
	announce(a)
	t, err := prepare(ctx, a, c)
	if err != nil {
		return plugins.Result{}, loop.Typed(err)
	}
	defer t.close()
	s, err := t.run.Do(ctx)
	if err != nil {
		return plugins.Result{}, loop.Typed(err)
	}
	if s.EndedEarly {
		a.Warn(fmt.Sprintf("ended after step %d of %d: %d validations without a new best", s.Steps, t.run.Settings.Schedule.Steps, c.Eval.Patience))
	}
	dir := filepath.Join(a.OutputDir, adapterDir)
	if err := os.MkdirAll(dir, 0o755); err != nil {
		return plugins.Result{}, err
	}
	if err := so8t.WriteAdapter(dir, t.model.Adapter(filepath.Base(c.Base))); err != nil {
		return plugins.Result{}, err
	}
	return plugins.Result{Metrics: t.metrics(s)}, t.be.Err()
}

// announce is the first that is heard of an attempt: what follows reads files.
func announce(a *plugins.Attempt) {
	if a.Resume != nil {
		a.Log(fmt.Sprintf("continuing from the checkpoint of step %d", a.Resume.Step))
		return
	}
	a.Log("reading base and dataset")
}

// training is what an attempt holds open.
type training struct {
	be     backend.Backend
	folder *phi3.Folder
	model  *loop.Phi3
	data   data
	run    *loop.Run
}

func (t *training) close() {
	if t.model != nil {
		t.model.Release()
	}
	if t.be != nil {
		_ = t.be.Close()
	}
	if t.folder != nil {
		_ = t.folder.Close()
	}
}

func prepare(ctx context.Context, a *plugins.Attempt, c Config) (t *training, err error) {
	t = &training{}
	defer func() {
		if err != nil {
			t.close()
		}
	}()
	if t.data, err = load(ctx, c); err != nil {
		return t, err
	}
	text, err := writeSample(a.OutputDir, t.data)
	if err != nil {
		return t, err
	}
	a.Log(text)
	if t.data.cut > 0 {
		a.Warn(fmt.Sprintf("%d rows are longer than %d tokens and lost their end (overflow: truncate)", t.data.cut, c.Length))
	}
	if err := t.open(a, c); err != nil {
		return t, err
	}
	t.run, err = t.newRun(ctx, a, c)
	if err == nil {
		a.Log(fmt.Sprintf("training %d parameters on %d rows (%d tokens, longest %d) for %d steps; %s",
			t.model.Parameters(), len(t.data.train), t.data.tokens, t.data.longest, t.run.Settings.Schedule.Steps, compute.Describe(c.Backend, t.be.Info())))
	}
	return t, err
}

// open reads the base and puts it on the backend, what is trained beside it.
func (t *training) open(a *plugins.Attempt, c Config) (err error) {
	if t.folder, err = phi3.OpenFolder(c.Base); err != nil {
		return err
	}
	if keys := t.folder.Config.Unrecognised; len(keys) > 0 {
		a.Warn(fmt.Sprintf("the base's config.json says %s, which Phi-3 has no use for: if this model's own code reads it, its results are others than those here",
			strings.Join(keys, ", ")))
	}
	from, err := c.start()
	if err != nil {
		return plugins.Errorf(plugins.BadInput, "lora.from: %w", err)
	}
	p, err := plan(c, c.adapter(from), t.folder.Config, t.data.longest)
	if err == nil { // else reported by newModel
		a.Log(describe(p))
		collect(p)
	}
	if t.be, err = compute.OpenWith(compute.Options{
		Name: c.Backend, Threads: c.Threads, Limit: int64(c.Memory) << 20, Reserve: p.OnGPU(),
	}); err != nil {
		return err
	}
	weights, err := phi3.Load(t.folder.Config, t.folder, phi3.Storage(c.Storage))
	if err != nil {
		return err
	}
	if t.model, err = newModel(t.be, weights, c, from, t.data.longest); err != nil {
		if t.be.Err() == nil {
			err = plugins.Errorf(plugins.BadInput, "%w", err)
		}
		return err
	}
	return nil
}

func (t *training) newRun(ctx context.Context, a *plugins.Attempt, c Config) (*loop.Run, error) {
	every, err := c.Checkpoint.Interval()
	if err != nil {
		return nil, plugins.Errorf(plugins.BadInput, "checkpoint.every: %w", err)
	}
	pet, err := c.pet()
	if err != nil {
		return nil, plugins.Errorf(plugins.BadInput, "pet: %w", err)
	}
	steps := c.steps(len(t.data.train), t.data.tokens, t.folder.Config.Parameters())
	schedule := c.schedule(steps)
	if steps == 1 && schedule.Rate(0) == 0 && c.LR > 0 {
		a.Warn("the only step is the warm-up's first, whose rate is 0: nothing is learnt; more rows, more epochs or warmup: 0 change that")
	}
	adamw := loop.DefaultAdamW
	adamw.MaxNorm = c.Clip
	evals := c.Eval.Every
	if evals == 0 {
		evals = max(1, steps/10)
	}
	r := &loop.Run{
		Backend: t.be, Model: t.model, Train: t.data.train, Validation: t.data.validation,
		Facts: compute.Facts(t.be.Info()),
		Settings: loop.Settings{
			Seed: c.Seed, Size: loop.Size{Rows: c.Batch}, Accumulation: c.Accumulation, Schedule: schedule,
			GroupByLength: c.Group, Explode: c.Divergence.Limit, Rollbacks: c.Divergence.Rollbacks, AdamW: adamw, PET: pet, EvalEvery: evals, Patience: c.Eval.Patience, KeepBest: c.Eval.Best,
		},
		Curve: filepath.Join(a.OutputDir, curveFile), Metrics: filepath.Join(a.OutputDir, metricsFile),
		Charts: filepath.Join(a.OutputDir, chartsDir),
		Every:  every, Stop: a.Stop, Warn: a.Warn,
		Save: func(step int64, write func(dir string) error) error { return a.SaveCheckpoint(ctx, step, write) },
		OnStep: func(p loop.Point, rate float64) {
			a.Report(plugins.Progress{Done: p.Step, Total: steps, Unit: "step", Message: t.live(p, rate)})
			a.Metric("loss", p.Loss, p.Step)
			a.Metric("pet", p.PET, p.Step)
			a.Metric("tokens_per_second", rate, p.Step)
			if p.EvalLoss != nil {
				a.Metric("eval_loss", *p.EvalLoss, p.Step)
			}
			if p.Step%evals == 0 || p.Step == steps {
				mean, most := angles(t.be, t.model)
				a.Metric("gate_angle_mean", mean, p.Step)
				a.Metric("gate_angle_max", most, p.Step)
			}
		},
	}
	if a.Resume != nil {
		r.Resume = a.Resume.Path
	}
	return r, nil
}

// live is what a step says on the terminal; progress adds the time left.
func (t *training) live(p loop.Point, rate float64) string {
	return fmt.Sprintf("loss %.3f, pet %.3f, lr %.2g, %.0f tokens/s, %.0f MB", p.Loss, p.PET, p.LR, rate, float64(t.be.Counters().Bytes)/1e6)
}

func (t *training) metrics(s loop.Summary) map[string]float64 {
	mean, most := angles(t.be, t.model)
	m := map[string]float64{
		"loss": s.Loss, "ce": s.CE, "pet": s.PET, "steps": float64(s.Steps),
		"rows": float64(len(t.data.train)), "truncated_rows": float64(t.data.cut), "tokens": float64(t.data.tokens), "trained_parameters": float64(t.model.Parameters()),
		"gate_angle_mean": mean, "gate_angle_max": most,
		"peak_memory_bytes": float64(t.be.Counters().PeakBytes), "seconds": s.Seconds, "micro_batch_halvings": float64(s.Halvings), "rollbacks": float64(s.Rollbacks), "checkpoints": float64(s.Saves), "checkpoint_stall_seconds": s.Stalled,
	}
	if s.Seconds > 0 {
		m["tokens_per_second"] = float64(s.Tokens) / s.Seconds
	}
	if !math.IsNaN(s.EvalLoss) {
		m["eval_loss"], m["best_step"] = s.EvalLoss, float64(s.BestStep)
	}
	return m
}
