// Package ollama is the stage that hands a GGUF file to a real Ollama server, proves that it is
// served as it was trained, and asks it the six questions of the guide, each with an assertion.
package ollama

import (
	"context"
	"maps"
	"os/exec"
	"path/filepath"
	"strings"

	"github.com/so8t/so8t/plugins"
	"github.com/so8t/so8t/stages/internal/compute"
	"github.com/so8t/so8t/stages/internal/jsonfile"
	"github.com/so8t/so8t/stages/internal/modelfile"
)

// Stage is the stage.
type Stage struct{}

// Describe says what the stage is.
func (Stage) Describe() plugins.Description {
	return plugins.Description{
		Name: "ollama", Version: "1", Revision: 2, Kind: plugins.KindStage,
		Help: "serves a GGUF file with Ollama, proves that it is the trained model and asks it six questions",
		With: plugins.SchemaOf(Config{}),
		Outputs: []plugins.Output{
			{Name: "report", Path: "ollama_report.json", MediaType: "application/json"},
			{Name: "modelfile", Path: "Modelfile", MediaType: "text/plain", Help: "with which `ollama create` makes the same model by hand"},
			{Name: "external", Path: plugins.ExternalPath, MediaType: "application/json", Optional: true, Volatile: true, Help: "the model on the server, for gc to remove"},
			{Name: "transcript", Path: "transcript.jsonl", MediaType: "application/jsonl", Volatile: true, Help: "every request and answer, with durations"},
		},
		Metrics: []plugins.MetricSpec{
			{Name: "passed", Help: "tests that passed each time, of six", Better: "higher"},
			{Name: "failed", Better: "lower"},
			{Name: "repeated", Help: "tests that were answered with the same text each time, of six", Better: "higher"},
			{Name: "parity_tokens", Help: "prompt tokens in which the server's template is the one of the training", Better: "higher"},
			{Name: "score_difference", Help: "largest difference between a log-probability of the server and of our own inference, nats", Better: "lower"},
			{Name: "score_tolerance", Help: "the largest score_difference that passes"},
			{Name: "tokens_per_second", Help: "generated", Better: "higher"},
			{Name: "prompt_tokens_per_second", Better: "higher"},
			{Name: "first_token_seconds", Help: "mean until the first token came", Better: "lower"},
			{Name: "answer_seconds", Help: "mean of a whole answer", Better: "lower"},
		},
	}
}

// Check looks for the server, so that nothing is trained for one that is not there.
func (Stage) Check(ctx context.Context, req plugins.CheckRequest) (plugins.CheckReport, error) {
	var report plugins.CheckReport
	var c Config
	if err := plugins.DecodeWith(req.With, &c); err != nil {
		report.Problems = append(report.Problems, plugins.InputProblem("", err))
		return report, nil
	}
	if p := c.check(); p != nil {
		report.Problems = append(report.Problems, *p)
	}
	facts := map[string]string{}
	if c.CrossCheck {
		compute.Check(&report, "cpu", 0)
		maps.Copy(facts, report.Facts)
	}
	version, err := findServer(ctx, c)
	switch {
	case err == nil:
		facts["ollama"] = version
		facts["server"] = c.place() // what one server was given is not on another
	case c.Required:
		p := plugins.InputProblem("", err)
		p.Hint = "or set required: false to go on without"
		report.Problems = append(report.Problems, p)
	}
	report.Facts = facts
	if c.GGUF != "" {
		if err := c.look(&report); err != nil {
			return report, err
		}
	}
	return report, nil
}

// findServer returns the version of the server that would be used, and starts none.
func findServer(ctx context.Context, c Config) (string, error) {
	if c.host() != "" {
		cl, stop, err := connect(ctx, c, "")
		if err != nil {
			return "", err
		}
		defer stop()
		return cl.version(ctx)
	}
	program, err := exec.LookPath("ollama")
	if err != nil {
		return "", plugins.Errorf(plugins.Unavailable, "%w", errNoServer)
	}
	cmd := plugins.Command(ctx, program, "--version")
	text, err := cmd.CombinedOutput()
	if err != nil {
		return "", plugins.Errorf(plugins.Unavailable, "asking %s for its version: %w", program, err)
	}
	fields := strings.Fields(string(text)) // "… version is 0.17.4"
	if len(fields) == 0 {
		return "", plugins.Errorf(plugins.Unavailable, "%s tells no version", program)
	}
	version := fields[len(fields)-1]
	return version, checkVersion(version, program)
}

// Run uploads, creates, proves and asks.
func (Stage) Run(ctx context.Context, a *plugins.Attempt) (plugins.Result, error) {
	var c Config
	if err := plugins.DecodeWith(a.With, &c); err != nil {
		return plugins.Result{}, err
	}
	if p := c.check(); p != nil {
		return plugins.Result{}, plugins.Errorf(p.Code, "%s", p.Message)
	}
	if err := c.checkFile(); err != nil {
		return plugins.Result{}, plugins.Errorf(plugins.BadInput, "%w", err)
	}
	model, err := modelfile.Open(c.GGUF)
	if err != nil {
		return plugins.Result{}, plugins.Errorf(plugins.BadInput, "%w", err)
	}
	defer model.Close()
	report := &Report{Model: c.Name}
	if report.NumCtx, err = c.context(model); err != nil {
		return plugins.Result{}, err
	}
	ctx, cancel := a.UntilStopped(ctx) // a request cannot be resumed
	defer cancel()
	scratch, err := a.Scratch()
	if err != nil {
		return plugins.Result{}, err
	}
	cl, stop, err := connect(ctx, c, scratch)
	if err != nil {
		if !c.Required && plugins.CodeOf(err) == plugins.Unavailable {
			return plugins.Result{Skipped: err.Error()}, nil
		}
		return plugins.Result{}, err
	}
	defer stop()
	s := &session{a: a, c: c, cl: cl, model: model, report: report}
	err = s.run(ctx)
	if a.Stopping() {
		return plugins.Result{}, plugins.Errorf(plugins.Cancelled, "stopped")
	}
	return plugins.Result{Metrics: s.metrics()}, err
}

// run serves the model and writes what came of it, also of a model that was refused.
func (s *session) run(ctx context.Context) error {
	var err error
	if s.report.Version, err = s.cl.version(ctx); err != nil {
		return err
	}
	if s.report.Digest, err = fileDigest(s.c.GGUF); err != nil {
		return err
	}
	o := newOffer(s.c, owner(s.a.ProjectDir), s.report.Digest, s.report.NumCtx)
	if err := o.writeRecipe(s.a.OutputDir, s.c.Name); err != nil {
		return err
	}
	if err := s.declare(o); err != nil {
		return err
	}
	transcript, err := openTranscript(filepath.Join(s.a.OutputDir, "transcript.jsonl"))
	if err != nil {
		return err
	}
	s.cl.record = transcript.add
	err = s.serve(ctx, o)
	if closeErr := transcript.close(); err == nil {
		err = closeErr
	}
	if writeErr := jsonfile.Write(filepath.Join(s.a.OutputDir, "ollama_report.json"), s.report); err == nil {
		err = writeErr
	}
	return err
}

// metrics are the figures of what was done.
func (s *session) metrics() map[string]float64 {
	r := s.report
	values := map[string]float64{
		"passed": float64(r.Passed), "failed": float64(r.Failed), "repeated": float64(r.Repeated), "parity_tokens": float64(r.Parity.Tokens),
	}
	if c := r.CrossCheck; c != nil {
		values["score_difference"], values["score_tolerance"] = c.MaxDifference, c.Tolerance
	}
	s.speeds.metrics(values)
	return values
}
