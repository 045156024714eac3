// Package plugintest is the conformance suite of plugins: it starts a plugin as the engine
// does and looks whether it keeps the contract. `so8t plugins test` runs it, and so can the
// Go tests of a plugin. The faults that it knows are those of package plugins/examples/broken.
package plugintest

import (
	"context"
	"encoding/json"
	"errors"
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

// callTimeout bounds Describe and Check, which are to answer at once.
const callTimeout = 20 * time.Second

// Option changes the examination.
type Option func(*suite)

// With gives the parameters of a run that should succeed, where the suite cannot know them.
// Paths are absolute.
func With(parameters map[string]any) Option {
	return func(s *suite) { s.given = parameters }
}

// CallTimeout replaces the 20 s that Describe and Check may take.
func CallTimeout(d time.Duration) Option { return func(s *suite) { s.callTimeout = d } }

// suite is one examination of one plugin.
type suite struct {
	command     host.Command
	dir         string
	given       map[string]any
	callTimeout time.Duration
	results     []Result

	description plugins.Description
	schema      schema
	good        json.RawMessage // parameters of a run that should succeed; nil when unknown
	guessed     bool            // the suite made up the parameters
	why         string          // good is unknown
	printed     *meter          // what the runs printed
	// before is what there was when the plugin was first given parameters.
	before map[string]string
}

// Run examines the plugin that the command starts, in an empty folder. The checks come in a
// fixed order; those that need an earlier one which failed are left out.
func Run(ctx context.Context, c host.Command, workdir string, opts ...Option) []Result {
	s := &suite{command: c, dir: workdir, callTimeout: callTimeout, printed: &meter{}}
	for _, o := range opts {
		o(s)
	}
	if err := s.enter(); err != nil {
		return []Result{{Name: "preparing the folder", Message: err.Error()}}
	}
	if !s.check(ctx, "starts and describes itself", s.describe) {
		return s.results
	}
	if !s.check(ctx, "the description is valid", s.validDescription) {
		return s.results
	}
	err := s.prepare()
	if err == nil {
		s.before, err = s.outside()
	}
	if err != nil {
		s.results = append(s.results, Result{Name: "preparing inputs", Message: err.Error()})
		return s.results
	}
	s.check(ctx, "bad parameters are refused", s.refusesBadParameters)
	ran := s.check(ctx, "runs on a small input", s.runs)
	if s.good == nil {
		s.note("does not apply: " + s.why)
		return s.results
	}
	if !ran {
		return s.results
	}
	s.check(ctx, "what it prints can be kept and read", s.printsLittle)
	s.check(ctx, "the same input gives the same outputs", s.repeats)
	s.check(ctx, "stops when asked", s.stops)
	s.check(ctx, "goes on from a checkpoint to the same outputs", s.resumes)
	s.check(ctx, "nothing is left when it is killed", s.dies)
	return s.results
}

// note says why the latest check, which passed, says little.
func (s *suite) note(message string) { s.results[len(s.results)-1].Message = message }

// enter makes the project folder, in which a plugin without a folder of its own runs.
func (s *suite) enter() error {
	dir, err := filepath.Abs(s.dir)
	if err != nil {
		return err
	}
	s.dir = dir
	if s.command.Dir == "" {
		s.command.Dir = s.project()
	}
	return os.MkdirAll(s.project(), 0o755)
}

func (s *suite) project() string { return filepath.Join(s.dir, "project") }

// check runs one check and notes what it found.
func (s *suite) check(ctx context.Context, name string, f func(context.Context) error) bool {
	ctx, cancel := context.WithTimeout(ctx, checkTimeout)
	defer cancel()
	r := Result{Name: name, OK: true}
	err := f(ctx)
	if reason, ok := notApplicable(err); ok {
		r.Message = "does not apply: " + reason
	} else if err != nil {
		r.OK, r.Message = false, err.Error()
		var e *plugins.Error
		if errors.As(err, &e) && e.Detail != "" {
			r.Message += "\n" + e.Detail // its last words
		}
	}
	s.results = append(s.results, r)
	return r.OK
}

// launch starts the plugin; what it prints is metered.
func (s *suite) launch(ctx context.Context) (*host.Process, error) {
	name := s.description.Name
	if name == "" {
		name = filepath.Base(s.command.Path)
	}
	return host.Launch(ctx, s.command, host.Options{
		Name: name, CallTimeout: s.callTimeout, Log: s.printed, LogLimit: 1 << 40,
	})
}

// with starts the plugin, hands it to f and ends it. What the plugin leaves behind is an error.
func (s *suite) with(ctx context.Context, f func(*host.Process) error) error {
	p, err := s.launch(ctx)
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
		Stage: "conformance", Run: "1", Number: 1, With: with, ProjectDir: s.project(),
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
		return errNotApplicable("it has no parameter that could be wrong")
	}
	return s.with(ctx, func(p *host.Process) error {
		report, err := p.Check(ctx, plugins.CheckRequest{With: bad, ProjectDir: s.project()})
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

// errNotApplicable says why a check cannot be made on this plugin.
type errNotApplicable string

func (e errNotApplicable) Error() string { return string(e) }

func notApplicable(err error) (reason string, ok bool) {
	e, ok := err.(errNotApplicable) //nolint:errorlint // never wrapped
	return string(e), ok
}

// list joins what is wrong, or is nil.
func list(wrong []string) error {
	if len(wrong) == 0 {
		return nil
	}
	return fmt.Errorf("%s", strings.Join(wrong, "; "))
}
