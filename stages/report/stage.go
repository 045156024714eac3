// Package report is the stage that tells a person what came out: Markdown and one self-contained
// HTML page. Every number in them is in report.json, with the artifact it was read from and that
// artifact's digest.
package report

import (
	"context"
	"fmt"
	"os"
	"path/filepath"

	"github.com/so8t/so8t/plugins"
	"github.com/so8t/so8t/stages/internal/jsonfile"
)

// Stage is the stage.
type Stage struct{}

// Config is its `with`. What is absent was not run, and the report says so.
type Config struct {
	Title       string            `json:"title" default:"so8t report"`
	Stats       string            `json:"stats" format:"path" help:"stats of the data stage"`
	Curve       string            `json:"curve" format:"path" help:"curve of the train stage"`
	Sample      string            `json:"sample" format:"path" help:"sample of the train stage: the first row as the model sees it"`
	Bake        string            `json:"bake" format:"path" help:"report of the bake stage"`
	GGUF        map[string]string `json:"gguf" format:"path" help:"reports of gguf stages, by the name of the stage"`
	Ollama      string            `json:"ollama" format:"path" help:"report of the ollama stage"`
	Calibration string            `json:"calibration" format:"path" help:"report of the calibrate stage"`
	Metrics     string            `json:"metrics" format:"path" help:"metrics of the eval stage"`
	Evaluators  map[string]string `json:"evaluators" format:"path" help:"metrics of evaluators, by the name of the stage"`
	Scores      map[string]string `json:"scores" format:"path" help:"scores of evaluators, by the name of the stage"`
}

// Describe says what the stage is.
func (Stage) Describe() plugins.Description {
	return plugins.Description{
		Name: "report", Version: "1", Revision: 6, Kind: plugins.KindStage,
		Help: "Markdown and a self-contained HTML page in which every number names its source",
		With: plugins.SchemaOf(Config{}),
		Outputs: []plugins.Output{
			{Name: "html", Path: "report.html", MediaType: "text/html"},
			{Name: "markdown", Path: "report.md", MediaType: "text/markdown"},
			{Name: "json", Path: "report.json", MediaType: "application/json", Help: "every number with its artifact and digest"},
			{Name: "timeline", Path: timelineFile, MediaType: "text/html", Volatile: true, Help: "when each stage ran and what it took"},
		},
		Timeline: true,
		Metrics:  []plugins.MetricSpec{{Name: "numbers", Help: "numbers in the report"}},
	}
}

// Check reads the parameters; the inputs come from other stages.
func (Stage) Check(_ context.Context, req plugins.CheckRequest) (plugins.CheckReport, error) {
	var report plugins.CheckReport
	var c Config
	if err := plugins.DecodeWith(req.With, &c); err != nil {
		report.Problems = append(report.Problems, plugins.InputProblem("", err))
	}
	return report, nil
}

// Run writes the report.
func (Stage) Run(_ context.Context, a *plugins.Attempt) (plugins.Result, error) {
	var c Config
	if err := plugins.DecodeWith(a.With, &c); err != nil {
		return plugins.Result{}, err
	}
	d := &document{title: c.Title, facts: a.Facts}
	for _, add := range []func(*document, Config) error{
		addVerdict, addStages, addData, addTraining, addBake, addGGUF, addOllama, addCalibration, addEvaluation, addEvaluators, addTimeline,
	} {
		if err := add(d, c); err != nil {
			return plugins.Result{}, plugins.Errorf(plugins.BadInput, "%w", err)
		}
	}
	numbers := map[string]any{"numbers": d.numbers}
	if err := jsonfile.Write(filepath.Join(a.OutputDir, "report.json"), numbers); err != nil {
		return plugins.Result{}, err
	}
	page, err := d.html()
	if err != nil {
		return plugins.Result{}, err
	}
	for name, text := range map[string]string{
		"report.html": page, "report.md": d.markdown(), timelineFile: timelinePage(c.Title, a.Timeline),
	} {
		if err := os.WriteFile(filepath.Join(a.OutputDir, name), []byte(text), 0o644); err != nil {
			return plugins.Result{}, fmt.Errorf("writing %q: %w", name, err)
		}
	}
	return plugins.Result{Metrics: map[string]float64{"numbers": float64(len(d.numbers))}}, nil
}
