// Package ollama is the stage that hands a GGUF file to a real Ollama server and asks it the six
// questions of the guide, each with an assertion.
package ollama

import (
	"context"
	"errors"
	"fmt"
	"os/exec"
	"path/filepath"
	"strings"

	"github.com/so8t/so8t/plugins"
	"github.com/so8t/so8t/stages/internal/ggufio"
	"github.com/so8t/so8t/stages/internal/jsonfile"
	"github.com/so8t/so8t/stages/internal/modelfile"
)

// Stage is the stage.
type Stage struct{}

// Config is its `with`.
type Config struct {
	GGUF     string `json:"gguf" format:"path" media:"application/x-gguf" required:"true" help:"the model to serve"`
	Name     string `json:"name" default:"so8t" help:"the model's name on the server"`
	Required bool   `json:"required" default:"true" help:"false: without a server the stage is skipped instead of failing"`
	NumCtx   int    `json:"num_ctx" default:"0" min:"0" help:"context in tokens; 0: the longest for which the short rotary factors hold"`
	Host     string `json:"host" default:"" bytes:"same" help:"address of the server; default: OLLAMA_HOST, else one is started from the program ollama"`
	Models   string `json:"models" default:"" bytes:"same" help:"where a started server keeps its models; default: deleted afterwards"`
	Triples  bool   `json:"triples_required" default:"true" help:"the stage fails when one of the three judgements is wrong"`
	Scale    string `json:"scale" default:"full" enum:"full,tiny" help:"tiny: no test is required"`
}

// Describe says what the stage is.
func (Stage) Describe() plugins.Description {
	return plugins.Description{
		Name: "ollama", Version: "1", Revision: 1, Kind: plugins.KindStage,
		Help: "serves a GGUF file with Ollama and asks it six questions",
		With: plugins.SchemaOf(Config{}),
		Outputs: []plugins.Output{
			{Name: "report", Path: "ollama_report.json", MediaType: "application/json"},
			{Name: "transcript", Path: "transcript.jsonl", MediaType: "application/jsonl", Volatile: true, Help: "every request and answer"},
		},
		Metrics: []plugins.MetricSpec{
			{Name: "passed", Help: "tests that passed, of six", Better: "higher"},
			{Name: "failed", Better: "lower"},
			{Name: "tokens_per_second", Better: "higher"},
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
	version, err := findServer(ctx, c)
	switch {
	case err == nil:
		report.Facts = map[string]string{"ollama": version}
	case c.Required:
		p := plugins.InputProblem("", err)
		p.Hint = "or set required: false to go on without"
		report.Problems = append(report.Problems, p)
	}
	if c.GGUF != "" {
		if f, err := ggufio.Open(c.GGUF); err != nil {
			report.Problems = append(report.Problems, plugins.InputProblem("gguf", err))
		} else {
			_ = f.Close()
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
	return fields[len(fields)-1], nil
}

// Run uploads, creates and asks.
func (Stage) Run(ctx context.Context, a *plugins.Attempt) (plugins.Result, error) {
	var c Config
	if err := plugins.DecodeWith(a.With, &c); err != nil {
		return plugins.Result{}, err
	}
	model, err := modelfile.Open(c.GGUF)
	if err != nil {
		return plugins.Result{}, plugins.Errorf(plugins.BadInput, "%w", err)
	}
	defer model.Close()
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
	transcript, err := openTranscript(filepath.Join(a.OutputDir, "transcript.jsonl"))
	if err != nil {
		return plugins.Result{}, err
	}
	cl.record = transcript.add
	report, speed, err := serveAndAsk(ctx, a, c, cl, model)
	if closeErr := transcript.close(); err == nil {
		err = closeErr
	}
	if a.Stopping() {
		return plugins.Result{}, plugins.Errorf(plugins.Cancelled, "stopped")
	}
	if err != nil {
		return plugins.Result{}, err
	}
	if err := jsonfile.Write(filepath.Join(a.OutputDir, "ollama_report.json"), report); err != nil {
		return plugins.Result{}, err
	}
	result := plugins.Result{Metrics: map[string]float64{"passed": float64(report.Passed), "failed": float64(report.Failed)}}
	if speed > 0 {
		result.Metrics["tokens_per_second"] = speed
	}
	return result, report.gate()
}

// gate fails the stage when a required test failed.
func (r *Report) gate() error {
	var failed []string
	for _, t := range r.Tests {
		if t.Required && !t.Passed {
			failed = append(failed, fmt.Sprintf("%s: %s", t.Name, t.Why))
		}
	}
	if failed == nil {
		return nil
	}
	return plugins.Errorf(plugins.Gate, "%w", errors.New("required tests failed: "+strings.Join(failed, "; ")))
}
