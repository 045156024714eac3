// Package eval is the stage that measures a model on the test split: the exported file as it will
// be served, beside the untouched base, the tuned model with its gates zeroed, the majority label
// and character n-grams, each with intervals, so that nothing gets credit for luck.
package eval

import (
	"context"
	"os"
	"slices"

	"github.com/so8t/so8t/plugins"
	"github.com/so8t/so8t/stages/internal/compute"
	"github.com/so8t/so8t/stages/internal/dataset"
	"github.com/so8t/so8t/stages/internal/scoring"
	"github.com/so8t/so8t/stages/internal/so8t"
)

// Stage is the stage.
type Stage struct{}

// Config is its `with`.
type Config struct {
	Model       string `json:"model" format:"path" required:"true" help:"GGUF file or Hugging Face folder to measure"`
	Data        string `json:"data" format:"path" media:"application/jsonl" required:"true" help:"test split, JSONL"`
	Train       string `json:"train" format:"path" help:"train split, for the n-gram and majority baselines"`
	Base        string `json:"base" format:"path" help:"the model before training, to compare with"`
	Adapter     string `json:"adapter" format:"path" media:"application/vnd.so8t.adapter" help:"adapter on base; with it the model without its gates is measured too"`
	Temperature string `json:"temperature" format:"path" help:"temperature.json of the calibrate stage; without it 1, and ALLOW from 0.5 on"`
	Limit       int    `json:"limit" default:"0" min:"0" help:"only so many rows, evenly spread; 0: all"`
	Bins        int    `json:"bins" default:"15" min:"2" help:"bins of the reliability table"`
	Resamples   int    `json:"resamples" default:"1000" min:"0" help:"of the bootstrap intervals; 0: none"`
	Generate    int    `json:"generate" default:"200" min:"0" help:"rows whose answer is generated, evenly spread, for the agreement of text and score"`
	MaxNew      int    `json:"max_new" default:"64" min:"8" help:"longest generated answer in tokens"`
	Long        int    `json:"long" default:"8" min:"0" help:"answers generated beyond their end, to look for loops"`
	LongTokens  int    `json:"long_tokens" default:"256" min:"16" help:"length of those, in tokens"`
	Seed        uint64 `json:"seed" default:"1" help:"of the resamples"`
	Backend     string `json:"backend" default:"auto" enum:"auto,cpu,cuda" help:"what computes"`
	Threads     int    `json:"threads" default:"0" min:"0" help:"0: one for each core"`
}

// Names of the measured models; predictions carry them.
const (
	tuned  = "tuned"
	base   = "base"
	nogate = "nogate"
)

// Describe says what the stage is.
func (Stage) Describe() plugins.Description {
	return plugins.Description{
		Name: "eval", Version: "1", Revision: 3, Kind: plugins.KindStage,
		Help: "measures the exported model on the test split beside its base and simple baselines",
		With: plugins.SchemaOf(Config{}),
		Outputs: []plugins.Output{
			{Name: "predictions", Path: "predictions.jsonl", MediaType: "application/jsonl", Help: "one line per row and model; what evaluators get"},
			{Name: "metrics", Path: "metrics.json", MediaType: "application/json", Help: "everything measured, with intervals"},
		},
		Metrics: metricSpecs(),
	}
}

func metricSpecs() []plugins.MetricSpec {
	var specs []plugins.MetricSpec
	for _, prefix := range []string{"", base + "_", nogate + "_"} {
		for _, name := range []string{"accuracy", "macro_f1", "deny_recall", "decision_accuracy"} {
			specs = append(specs, plugins.MetricSpec{Name: prefix + name, Better: "higher"})
		}
		for _, name := range []string{
			"false_allow_rate", "decision_false_allow_rate", "nll", "brier", "brier_top", "ece", "ece_mass", "mce", "classwise_ece", "ece_after", "nll_after",
		} {
			specs = append(specs, plugins.MetricSpec{Name: prefix + name, Better: "lower"})
		}
		specs = append(specs, plugins.MetricSpec{Name: prefix + "mean_confidence"})
	}
	return append(specs,
		plugins.MetricSpec{Name: "rows", Help: "rows of the test split"},
		plugins.MetricSpec{Name: "majority_accuracy", Help: "of always saying the most frequent label of train"},
		plugins.MetricSpec{Name: "ngram_accuracy", Help: "of logistic regression on character 1- to 4-grams"},
		plugins.MetricSpec{Name: "ngram_false_allow_rate"},
		plugins.MetricSpec{Name: "mcnemar_p_base", Help: "exact, two-sided: tuned against base", Better: "lower"},
		plugins.MetricSpec{Name: "mcnemar_p_nogate", Help: "tuned against the same without gates"},
		plugins.MetricSpec{Name: "output_agreement", Help: "share of generated answers whose label is the scored one", Better: "higher"},
		plugins.MetricSpec{Name: "oscillation_rate", Help: "share of long answers that run in circles", Better: "lower"},
		plugins.MetricSpec{Name: "prefill_tokens_per_second", Help: "tokens read while scoring, prompts and label lines", Better: "higher"},
		plugins.MetricSpec{Name: "decode_tokens_per_second", Help: "tokens generated after the prompts were read, answers side by side", Better: "higher"},
	)
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
	look := func(field, path string, at func(string) error) {
		if path == "" {
			return
		}
		if err := at(path); err != nil {
			report.Problems = append(report.Problems, plugins.InputProblem(field, err))
		}
	}
	rows := func(path string) error { _, err := dataset.ReadFile(path, true); return err }
	learnt := func(path string) error { _, err := dataset.ReadFile(path, false); return err }
	opens := func(path string) error {
		need, err := scoring.Memory(path)
		report.Needs.Memory = max(report.Needs.Memory, need) // one model is held at a time
		return err
	}
	there := func(path string) error { _, err := os.Stat(path); return err }
	look("data", c.Data, rows)
	look("train", c.Train, learnt)
	look("model", c.Model, opens)
	look("base", c.Base, opens)
	look("adapter", c.Adapter, func(path string) error { _, err := so8t.ReadAdapter(path); return err })
	look("temperature", c.Temperature, there)
	if c.Adapter != "" && c.Base == "" && !slices.Contains(req.Pending, "base") {
		report.Problems = append(report.Problems, plugins.Problem{Field: "adapter", Code: plugins.BadInput,
			Message: "an adapter needs the base it belongs to", Hint: "give base too"})
	}
	return report, nil
}
