// Package plugintest is the conformance suite of plugins: it starts a plugin as the engine
// does and looks whether it keeps the contract. `so8t plugins test` runs it, and so can the
// Go tests of a plugin.
package plugintest

import (
	"context"
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"time"

	"github.com/so8t/so8t/plugins"
	"github.com/so8t/so8t/plugins/host"
)

// Result is what one check found.
type Result struct {
	Name string
	OK   bool
	// Message says what is wrong, or why the check did not apply.
	Message string
}

// checkTimeout bounds one check; grace is what Stop is given.
const (
	checkTimeout = 2 * time.Minute
	grace        = 3 * time.Second
)

// suite is one examination of one plugin.
type suite struct {
	command host.Command
	dir     string
	results []Result

	description plugins.Description
	schema      schema
	good        json.RawMessage // parameters of a run that should succeed; nil when unknown
	why         string          // it is unknown
}

// Run examines the plugin that the command starts, in an empty folder. The checks come in a
// fixed order; those that need an earlier one which failed are left out.
func Run(ctx context.Context, c host.Command, workdir string) []Result {
	s := &suite{command: c, dir: workdir}
	if err := s.enter(); err != nil {
		return []Result{{Name: "preparing the folder", Message: err.Error()}}
	}
	if !s.check(ctx, "starts and describes itself", s.describe) {
		return s.results
	}
	if !s.check(ctx, "the description is valid", s.validDescription) {
		return s.results
	}
	if err := s.prepare(); err != nil {
		s.results = append(s.results, Result{Name: "preparing inputs", Message: err.Error()})
		return s.results
	}
	s.check(ctx, "bad parameters are refused", s.refusesBadParameters)
	ran := s.check(ctx, "runs on a small input", s.runs)
	if s.good == nil {
		s.results[len(s.results)-1].Message = "does not apply: " + s.why
		return s.results
	}
	if !ran {
		return s.results
	}
	s.check(ctx, "the same input gives the same outputs", s.repeats)
	s.check(ctx, "stops when asked", s.stops)
	s.check(ctx, "nothing is left when it is killed", s.dies)
	return s.results
}

// enter makes the project folder, in which a plugin without a folder of its own runs.
func (s *suite) enter() error {
	dir, err := filepath.Abs(s.dir)
	if err != nil {
		return err
	}
	s.dir = dir
	project := filepath.Join(dir, "project")
	if s.command.Dir == "" {
		s.command.Dir = project
	}
	return os.MkdirAll(project, 0o755)
}

// check runs one check and notes what it found.
func (s *suite) check(ctx context.Context, name string, f func(context.Context) error) bool {
	ctx, cancel := context.WithTimeout(ctx, checkTimeout)
	defer cancel()
	r := Result{Name: name, OK: true}
	if err := f(ctx); err != nil {
		r.OK, r.Message = false, err.Error()
	}
	s.results = append(s.results, r)
	return r.OK
}

// with starts the plugin, hands it to f and ends it. What the plugin leaves behind is an error.
func (s *suite) with(ctx context.Context, f func(*host.Process) error) error {
	p, err := host.Launch(ctx, s.command, host.Options{})
	if err != nil {
		return err
	}
	err = f(p)
	left := p.Close()
	if err == nil && len(left) > 0 {
		return fmt.Errorf("it left %d process(es) behind, outside its process group", len(left))
	}
	return err
}

func (s *suite) describe(ctx context.Context) error {
	return s.with(ctx, func(p *host.Process) error {
		first, err := p.Describe(ctx)
		if err != nil {
			return err
		}
		second, err := p.Describe(ctx)
		if err != nil {
			return err
		}
		a, b := fmt.Sprintf("%+v", first), fmt.Sprintf("%+v", second)
		if a != b {
			return fmt.Errorf("asked twice, it describes itself differently: %s, then %s", a, b)
		}
		s.description = first
		return nil
	})
}

// attempt makes the folders of one attempt below the suite's.
func (s *suite) attempt(name string, with json.RawMessage) (*plugins.Attempt, error) {
	dir := filepath.Join(s.dir, name)
	a := &plugins.Attempt{
		Stage: "conformance", Run: "1", Number: 1, With: with, ProjectDir: filepath.Join(s.dir, "project"),
		OutputDir: filepath.Join(dir, "out"), ScratchDir: filepath.Join(dir, "scratch"), CheckpointDir: filepath.Join(dir, "checkpoints"),
	}
	for _, d := range []string{a.OutputDir, a.ScratchDir, a.CheckpointDir} {
		if err := os.MkdirAll(d, 0o755); err != nil {
			return nil, err
		}
	}
	return a, nil
}

// refusesBadParameters hands in paths to nothing, or a parameter that does not exist.
func (s *suite) refusesBadParameters(ctx context.Context) error {
	bad, what := s.schema.bad(filepath.Join(s.dir, "no-such-file"))
	if bad == nil {
		return nil // it has no parameter that could be wrong
	}
	return s.with(ctx, func(p *host.Process) error {
		report, err := p.Check(ctx, plugins.CheckRequest{With: bad, ProjectDir: filepath.Join(s.dir, "project")})
		code := plugins.CodeOf(err)
		switch {
		case err != nil && code != plugins.BadInput:
			return fmt.Errorf("given %s, Check ends with %s instead of a problem: %w", what, code, err)
		case err != nil, len(report.Problems) > 0:
			return nil
		}
		a, err := s.attempt("bad", bad)
		if err != nil {
			return err
		}
		_, err = p.Run(ctx, a, nil)
		if err == nil {
			return fmt.Errorf("given %s, Check finds no problem and Run succeeds", what)
		}
		if plugins.CodeOf(err) != plugins.BadInput {
			return fmt.Errorf("given %s, Run ends with %s instead of bad_input: %w", what, plugins.CodeOf(err), err)
		}
		return nil
	})
}

// stops asks a run to end while it works.
func (s *suite) stops(ctx context.Context) error {
	return s.with(ctx, func(p *host.Process) error {
		a, err := s.attempt("stop", s.good)
		if err != nil {
			return err
		}
		stopped := make(chan error, 1)
		go func() { stopped <- p.Stop(ctx, grace) }()
		start := time.Now()
		_, err = p.Run(ctx, a, nil)
		took := time.Since(start)
		if stopErr := <-stopped; err == nil && stopErr != nil {
			return stopErr
		}
		if took > grace {
			return fmt.Errorf("asked to stop, it took %s; the grace time was %s", took.Round(time.Second), grace)
		}
		if code := plugins.CodeOf(err); err != nil && code != plugins.Cancelled {
			return fmt.Errorf("asked to stop, it ended with %s instead of cancelled: %w", code, err)
		}
		return nil
	})
}

// dies kills a plugin at work.
func (s *suite) dies(ctx context.Context) error {
	p, err := host.Launch(ctx, s.command, host.Options{})
	if err != nil {
		return err
	}
	a, err := s.attempt("kill", s.good)
	if err != nil {
		p.Close()
		return err
	}
	_, _ = p.Run(ctx, a, func(plugins.Event) { p.Kill() }) // how it ends does not matter
	p.Kill()
	if left := p.Close(); len(left) > 0 {
		return fmt.Errorf("it left %d process(es) behind, outside its process group", len(left))
	}
	if gone, err := host.Sweep([]host.Record{p.Record()}); err != nil || len(gone) > 0 {
		return fmt.Errorf("%d process(es) were still there afterwards: %w", len(gone), err)
	}
	return nil
}

// list joins what is wrong, or is nil.
func list(wrong []string) error {
	if len(wrong) == 0 {
		return nil
	}
	return fmt.Errorf("%s", strings.Join(wrong, "; "))
}
