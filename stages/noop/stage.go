// Package noop is a stage that does nothing, in every way a stage can: it takes time, checkpoints,
// fails, exits, is skipped and writes an output. Tests and benchmarks of the engine run it.
package noop

import (
	"bufio"
	"context"
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"sync"
	"syscall"
	"time"

	"github.com/so8t/so8t/plugins"
)

// revision goes up when the output changes for the same parameters.
const revision = 1

// schema is derived once: a process that serves the stage describes it more than once.
var schema = sync.OnceValue(func() json.RawMessage { return plugins.SchemaOf(Config{}) })

// New returns the stage.
func New() plugins.Stage { return stage{} }

type stage struct{}

var _ plugins.Stage = stage{}

func (stage) Describe() plugins.Description {
	return plugins.Description{
		Name: "noop", Version: "1.0.0", Kind: plugins.KindStage, Revision: revision,
		Help: "does nothing: for tests, examples and benchmarks",
		With: schema(),
		Outputs: []plugins.Output{{Name: "out", MediaType: "application/octet-stream",
			Help: "bytes that depend on seed, steps and inputs alone"}},
		Checkpoints: true,
	}
}

func (stage) Check(_ context.Context, req plugins.CheckRequest) (plugins.CheckReport, error) {
	c, err := decode(req.With)
	if err != nil {
		return plugins.CheckReport{}, err
	}
	return plugins.CheckReport{Problems: c.problems(), Needs: plugins.Needs{Disk: c.Bytes}}, nil
}

func (stage) Run(ctx context.Context, a *plugins.Attempt) (plugins.Result, error) {
	c, err := decode(a.With)
	if err != nil {
		return plugins.Result{}, err
	}
	if err := trace(c, a, "start"); err != nil {
		return plugins.Result{}, err
	}
	result, err := work(ctx, c, a)
	how := "end ok"
	switch {
	case err != nil:
		how = "end " + string(plugins.CodeOf(err))
	case result.Skipped != "":
		how = "end skipped"
	}
	if traceErr := trace(c, a, how); err == nil {
		err = traceErr
	}
	return result, err
}

func work(ctx context.Context, c Config, a *plugins.Attempt) (plugins.Result, error) {
	lines, err := logLines(c.Log)
	if err != nil {
		return plugins.Result{}, plugins.Errorf(plugins.BadInput, "%w", err)
	}
	for _, line := range lines {
		a.Log(line)
	}
	if c.Skip != "" {
		return plugins.Result{Skipped: c.Skip}, nil
	}
	d, err := steps(ctx, c, a)
	if err != nil {
		return plugins.Result{}, err
	}
	for name, value := range c.Metrics {
		a.Metric(name, value, c.Steps)
	}
	return plugins.Result{Metrics: c.Metrics}, writeOut(filepath.Join(a.OutputDir, "out"), d, c.Bytes)
}

// steps does the work, from the checkpoint when there is one.
func steps(ctx context.Context, c Config, a *plugins.Attempt) (digest, error) {
	pause, err := duration(c.Duration)
	if err != nil {
		return digest{}, plugins.Errorf(plugins.BadInput, "%w", err)
	}
	first, d, err := begin(c, a)
	if err != nil {
		return d, err
	}
	failing := c.fails(a.Number)
	for step := first; ; step++ {
		if failing && (step == c.FailAt || step == c.Steps) {
			return d, fail(c, step)
		}
		if step == c.Steps {
			return d, nil
		}
		if err := wait(ctx, a, pause/time.Duration(c.Steps)); err != nil {
			if c.CheckpointEvery > 0 && step > first {
				err = stopped(ctx, a, step, d, err)
			}
			return d, err
		}
		d = d.next(step)
		if c.Steps > 1 {
			a.Progress(step+1, c.Steps, "step")
		}
		if done := step + 1; c.CheckpointEvery > 0 && done%c.CheckpointEvery == 0 && done < c.Steps {
			if err := save(ctx, a, done, d); err != nil {
				return d, err
			}
		}
	}
}

// begin returns the step to start at and the state there.
func begin(c Config, a *plugins.Attempt) (int64, digest, error) {
	if a.Resume == nil {
		d, err := start(c.Seed, c.Inputs)
		return 0, d, err
	}
	text, err := os.ReadFile(filepath.Join(a.Resume.Path, checkpointFile))
	if err != nil {
		return 0, digest{}, fmt.Errorf("reading checkpoint: %w", err)
	}
	var s saved
	if err := json.Unmarshal(text, &s); err != nil {
		return 0, digest{}, plugins.Errorf(plugins.BadInput, "reading checkpoint %s: %w", a.Resume.Path, err)
	}
	return s.Step, s.State, nil
}

// wait lets d pass. It returns an error of code cancelled when the stage was asked to stop.
func wait(ctx context.Context, a *plugins.Attempt, d time.Duration) error {
	if d == 0 && ctx.Err() == nil && !a.Stopping() {
		return nil
	}
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-a.Stop:
	case <-ctx.Done():
	case <-timer.C:
		if !a.Stopping() {
			return nil
		}
	}
	return plugins.Errorf(plugins.Cancelled, "asked to stop")
}

func stopped(ctx context.Context, a *plugins.Attempt, step int64, d digest, why error) error {
	if ctx.Err() != nil {
		return why
	}
	if err := save(ctx, a, step, d); err != nil {
		return err
	}
	return why
}

// checkpointFile holds a saved, as JSON.
const checkpointFile = "state.json"

type saved struct {
	Step  int64  `json:"step"`
	State digest `json:"state"`
}

func save(ctx context.Context, a *plugins.Attempt, step int64, d digest) error {
	return a.SaveCheckpoint(ctx, step, func(dir string) error {
		text, err := json.Marshal(saved{Step: step, State: d})
		if err != nil {
			return err
		}
		return os.WriteFile(filepath.Join(dir, checkpointFile), text, 0o644)
	})
}

// fail ends the attempt as Config asks.
func fail(c Config, step int64) error {
	if c.Exit > 0 {
		syscall.Exit(c.Exit) // as a crash would: nothing is flushed, no event is sent
	}
	code := plugins.Code(c.Code)
	if code == "" {
		code = plugins.Internal
	}
	err := plugins.Errorf(code, "told to fail at step %d", step)
	err.RetryWith = c.RetryWith
	return err
}

func writeOut(path string, d digest, n int64) error {
	f, err := os.Create(path)
	if err != nil {
		return err
	}
	w := bufio.NewWriterSize(f, 1<<16)
	err = d.write(w, n)
	if err == nil {
		err = w.Flush()
	}
	if closeErr := f.Close(); err == nil {
		err = closeErr
	}
	return err
}

// trace appends one line in one write, so that several processes can share the file.
func trace(c Config, a *plugins.Attempt, what string) error {
	if c.Trace == "" {
		return nil
	}
	path := c.Trace
	if !filepath.IsAbs(path) {
		path = filepath.Join(a.ProjectDir, path)
	}
	f, err := os.OpenFile(path, os.O_APPEND|os.O_CREATE|os.O_WRONLY, 0o644)
	if err != nil {
		return plugins.Errorf(plugins.BadInput, "opening trace: %w", err)
	}
	_, err = fmt.Fprintf(f, "%s %s run=%s attempt=%d\n", a.Stage, what, a.Run, a.Number)
	if closeErr := f.Close(); err == nil {
		err = closeErr
	}
	return err
}
