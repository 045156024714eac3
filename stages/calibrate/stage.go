// Package calibrate is the stage that makes a model's probabilities mean what they say: one
// temperature, fitted on the calibration split with the exported model, and the probability of
// ALLOW above which ALLOW may be decided.
package calibrate

import (
	"context"
	"path/filepath"

	"github.com/so8t/so8t/plugins"
	"github.com/so8t/so8t/stages/internal/compute"
	"github.com/so8t/so8t/stages/internal/dataset"
	"github.com/so8t/so8t/stages/internal/jsonfile"
	"github.com/so8t/so8t/stages/internal/metrics"
	"github.com/so8t/so8t/stages/internal/scoring"
)

// Stage is the stage.
type Stage struct{}

// Config is its `with`.
type Config struct {
	Model         string  `json:"model" format:"path" required:"true" help:"GGUF file or Hugging Face folder, as it will be served"`
	Data          string  `json:"data" format:"path" media:"application/jsonl" required:"true" help:"calibration split, JSONL; no row of it was trained on"`
	Bins          int     `json:"bins" default:"15" min:"2" help:"bins of the reliability table"`
	MaxFalseAllow float64 `json:"max_false_allow" default:"0.01" exmin:"0" max:"1" help:"share of rows not to be allowed that the threshold may let through"`
	Resamples     int     `json:"resamples" default:"1000" min:"0" help:"of the bootstrap intervals; 0: none"`
	Backend       string  `json:"backend" default:"auto" enum:"auto,cpu,cuda" help:"what computes"`
	Threads       int     `json:"threads" default:"0" min:"0" help:"0: one for each core"`
}

// Temperature is temperature.json: what a server needs to calibrate and decide.
type Temperature struct {
	Temperature    float64    `json:"temperature"`
	AllowThreshold float64    `json:"allow_threshold"`
	Labels         []string   `json:"labels"`
	Bounds         [2]float64 `json:"bounds"`
	AtBound        *string    `json:"at_bound"`
	Warnings       []string   `json:"warnings"`
}

// Report is calibration.json.
type Report struct {
	N             int                 `json:"n"`
	MaxFalseAllow float64             `json:"max_false_allow"`
	Temperature   Temperature         `json:"temperature"`
	Before        metrics.Calibration `json:"before"`
	After         metrics.Calibration `json:"after"`
	// Intervals (95 %) are of Before, IntervalsAfter of After.
	Intervals      map[string]metrics.Percentile `json:"intervals"`
	IntervalsAfter map[string]metrics.Percentile `json:"intervals_after"`
	WarningTexts   []string                      `json:"warning_texts"` // Temperature.Warnings for people
	// Decision on the calibration split itself, with the threshold fitted on it.
	Decision metrics.Classification `json:"decision"`
}

// Describe says what the stage is.
func (Stage) Describe() plugins.Description {
	lower := func(name, help string) plugins.MetricSpec {
		return plugins.MetricSpec{Name: name, Help: help, Better: "lower"}
	}
	return plugins.Description{
		Name: "calibrate", Version: "1", Revision: 3, Kind: plugins.KindStage,
		Help: "fits a temperature and a threshold for ALLOW on the calibration split",
		With: plugins.SchemaOf(Config{}),
		Outputs: []plugins.Output{
			{Name: "temperature", Path: "temperature.json", MediaType: "application/json"},
			{Name: "report", Path: "calibration.json", MediaType: "application/json", Help: "before and after, with reliability tables"},
		},
		Metrics: []plugins.MetricSpec{
			{Name: "temperature"}, {Name: "allow_threshold", Help: "probability above which ALLOW is decided"}, {Name: "rows"},
			lower("ece_before", "expected calibration error at temperature 1"), lower("ece", "and at the fitted one"),
			lower("nll_before", "negative log-likelihood at temperature 1"), lower("nll", "and at the fitted one"),
			lower("brier_before", "Brier score, 0 to 2, at temperature 1"), lower("brier", "and at the fitted one"),
			lower("false_allow_rate", "of the decision, on the split it was fitted on"),
			{Name: "accuracy", Better: "higher"},
		},
	}
}

// Check looks at what is there already.
func (Stage) Check(_ context.Context, req plugins.CheckRequest) (plugins.CheckReport, error) {
	var report plugins.CheckReport
	var c Config
	if err := plugins.DecodeWith(req.With, &c); err != nil {
		report.Problems = append(report.Problems, plugins.InputProblem("", err))
		return report, nil
	}
	compute.Check(&report, c.Backend, c.Threads)
	if c.Data != "" {
		if _, err := dataset.ReadFile(c.Data, true); err != nil {
			report.Problems = append(report.Problems, plugins.InputProblem("data", err))
		}
	}
	if c.Model != "" {
		var err error
		if report.Needs.Memory, err = scoring.Memory(c.Model); err != nil {
			report.Problems = append(report.Problems, plugins.InputProblem("model", err))
		}
	}
	return report, nil
}

// Run scores, fits and writes.
func (Stage) Run(ctx context.Context, a *plugins.Attempt) (plugins.Result, error) {
	var c Config
	if err := plugins.DecodeWith(a.With, &c); err != nil {
		return plugins.Result{}, err
	}
	rows, err := dataset.ReadFile(c.Data, true)
	if err != nil {
		return plugins.Result{}, plugins.Errorf(plugins.BadInput, "%w", err)
	}
	scores, err := score(c, rows, func(done int) { a.Progress(int64(done), int64(len(rows)), "row") })
	if err != nil {
		return plugins.Result{}, err
	}
	if err := ctx.Err(); err != nil {
		return plugins.Result{}, err
	}
	report, err := fit(c, rows, scores)
	if err != nil {
		return plugins.Result{}, err
	}
	for _, w := range report.WarningTexts {
		a.Warn(w)
	}
	if err := jsonfile.Write(filepath.Join(a.OutputDir, "temperature.json"), report.Temperature); err != nil {
		return plugins.Result{}, err
	}
	if err := jsonfile.Write(filepath.Join(a.OutputDir, "calibration.json"), report); err != nil {
		return plugins.Result{}, err
	}
	values := map[string]float64{
		"temperature": report.Temperature.Temperature, "allow_threshold": report.Temperature.AllowThreshold, "rows": float64(len(rows)),
		"ece_before": report.Before.ECE, "ece": report.After.ECE, "nll_before": report.Before.NLL, "nll": report.After.NLL,
		"brier_before": report.Before.Brier, "brier": report.After.Brier,
		"accuracy": report.Decision.Accuracy,
	}
	if rate := report.Decision.FalseAllowRate; rate != nil {
		values["false_allow_rate"] = *rate
	}
	return plugins.Result{Metrics: values}, nil
}

func score(c Config, rows []dataset.Row, progress func(done int)) ([][]float64, error) {
	longest, err := scoring.Longest(c.Model, rows)
	if err != nil {
		return nil, plugins.Errorf(plugins.BadInput, "%w", err)
	}
	be, err := compute.Open(c.Backend, c.Threads)
	if err != nil {
		return nil, err
	}
	defer func() { _ = be.Close() }()
	judge, err := scoring.Open(be, c.Model, nil, longest)
	if err != nil {
		return nil, plugins.Errorf(plugins.BadInput, "%w", err)
	}
	defer func() { _ = judge.Close() }()
	return judge.Scores(rows, progress)
}
