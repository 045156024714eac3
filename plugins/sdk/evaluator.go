package sdk

import (
	"bufio"
	"context"
	"encoding/json"
	"fmt"
	"iter"
	"math"
	"os"
	"path/filepath"
	"reflect"
	"slices"

	"github.com/so8t/so8t/plugins"
)

// Evaluator scores the predictions of a model by a rule of its own.
type Evaluator interface {
	// Info says what the evaluator is.
	Info() EvaluatorInfo
	// Evaluate reads the rows and returns the metrics and one score per row that it
	// scored, none when its metrics are of the rows as a whole. config holds the parameters but for `predictions`; see plugins.DecodeWith.
	Evaluate(ctx context.Context, rows iter.Seq2[Row, error], config json.RawMessage) (Evaluation, error)
}

// EvaluatorInfo describes an evaluator.
type EvaluatorInfo struct {
	Name, Version, Help string
	// Config is a struct with the tags of plugins.SchemaOf, for parameters besides
	// `predictions`; nil when there are none.
	Config  any
	Metrics []plugins.MetricSpec
}

// Row is one prediction, as the eval stage writes it.
type Row struct {
	ID        string             `json:"id"`
	Text      string             `json:"text"`
	Label     string             `json:"label"`
	Predicted string             `json:"predicted"` // argmax of Probs
	Decision  string             `json:"decision"`  // with the threshold for ALLOW
	Scores    map[string]float64 `json:"scores"`    // summed log-probabilities
	Probs     map[string]float64 `json:"probs"`     // their softmax, before the temperature
	Output    string             `json:"output"`
	Model     string             `json:"model"` // tuned, base or nogate
	Domain    string             `json:"domain"`
	Template  string             `json:"template"`
	Topic     string             `json:"topic"`
}

// Evaluation is what an evaluator found.
type Evaluation struct {
	Metrics map[string]float64
	Scores  []Score
}

// Score is the score of one row; a line of the output `scores`.
type Score struct {
	ID    string  `json:"id"`
	Model string  `json:"model,omitempty"`
	Score float64 `json:"score"`
	Note  string  `json:"note,omitempty"`
}

// ServeEvaluator serves an evaluator as a plugin.
func ServeEvaluator(e Evaluator, opts ...Option) error { return Serve(evaluatorStage{e}, opts...) }

// evaluatorStage makes an evaluator a stage: predictions in, metrics and scores out.
type evaluatorStage struct{ Evaluator }

const predictionsField = "predictions"

// Where the outputs lie in the output folder.
const (
	scoresPath  = "scores.jsonl"
	metricsPath = "metrics.json"
)

func (s evaluatorStage) Describe() plugins.Description {
	info := s.Info()
	return plugins.Description{
		Name: info.Name, Version: info.Version, Kind: plugins.KindEvaluator, Help: info.Help,
		With: evaluatorSchema(info.Config),
		Outputs: []plugins.Output{
			{Name: "scores", Path: scoresPath, MediaType: "application/jsonl", Help: "one score per row", Optional: true},
			{Name: "metrics", Path: metricsPath, MediaType: "application/json", Help: "the metrics as an object, for a report"},
		},
		Metrics: info.Metrics,
	}
}

// evaluatorSchema is the schema of the evaluator's own parameters with `predictions` added.
func evaluatorSchema(config any) json.RawMessage {
	if config == nil {
		config = struct{}{}
	}
	var schema map[string]any
	if err := json.Unmarshal(plugins.SchemaOf(config), &schema); err != nil {
		panic(fmt.Sprintf("sdk: schema of %T: %v", config, err)) // SchemaOf writes JSON
	}
	properties, _ := schema["properties"].(map[string]any)
	properties[predictionsField] = map[string]any{
		"type": "string", "format": "path", "x-so8t-media-type": "application/jsonl",
		"description": "predictions of the eval stage: JSON lines",
	}
	required, _ := schema["required"].([]any)
	schema["required"] = append([]any{predictionsField}, required...)
	b, err := json.Marshal(schema)
	if err != nil {
		panic(fmt.Sprintf("sdk: schema of %T: %v", config, err)) // it was JSON before
	}
	return b
}

func (s evaluatorStage) Check(_ context.Context, req plugins.CheckRequest) (plugins.CheckReport, error) {
	path, config, err := split(req.With)
	if err == nil {
		err = s.decode(config)
	}
	if err != nil {
		return problem("", err), nil
	}
	if slices.Contains(req.Pending, predictionsField) {
		return plugins.CheckReport{}, nil
	}
	if err := readable(path); err != nil {
		return problem(predictionsField, err), nil
	}
	return plugins.CheckReport{}, nil
}

func problem(field string, err error) plugins.CheckReport {
	return plugins.CheckReport{Problems: []plugins.Problem{{Field: field, Code: plugins.BadInput, Message: err.Error()}}}
}

// decode finds out whether the evaluator's own parameters are as its schema says.
func (s evaluatorStage) decode(config json.RawMessage) error {
	t := reflect.TypeOf(s.Info().Config)
	if t == nil {
		t = reflect.TypeFor[struct{}]()
	}
	for t.Kind() == reflect.Pointer {
		t = t.Elem()
	}
	return plugins.DecodeWith(config, reflect.New(t).Interface())
}

func readable(path string) error {
	if path == "" {
		return fmt.Errorf("%s is required: the output `predictions` of an eval stage", predictionsField)
	}
	info, err := os.Stat(path)
	if err != nil {
		return err
	}
	if !info.Mode().IsRegular() {
		return fmt.Errorf("%q is not a file", path)
	}
	return nil
}

// split takes `predictions` out of the parameters.
func split(with json.RawMessage) (path string, rest json.RawMessage, err error) {
	fields := map[string]json.RawMessage{}
	if len(with) > 0 {
		if err := json.Unmarshal(with, &fields); err != nil {
			return "", nil, plugins.Errorf(plugins.BadInput, "reading parameters: %w", err)
		}
	}
	if raw, ok := fields[predictionsField]; ok {
		if err := json.Unmarshal(raw, &path); err != nil {
			return "", nil, plugins.Errorf(plugins.BadInput, "reading parameter %q: %w", predictionsField, err)
		}
		delete(fields, predictionsField)
	}
	rest, err = json.Marshal(fields)
	return path, rest, err
}

func (s evaluatorStage) Run(ctx context.Context, a *plugins.Attempt) (plugins.Result, error) {
	path, config, err := split(a.With)
	if err == nil {
		err = s.decode(config)
	}
	if err != nil {
		return plugins.Result{}, err
	}
	if err := readable(path); err != nil {
		return plugins.Result{}, plugins.Errorf(plugins.BadInput, "%w", err)
	}
	ctx, cancel := a.UntilStopped(ctx) // an evaluator has no checkpoint
	defer cancel()
	rows := &rowReader{ctx: ctx, path: path, attempt: a}
	found, err := s.Evaluate(ctx, rows.all, config)
	switch {
	case rows.err != nil:
		return plugins.Result{}, rows.err // also when the evaluator went on
	case err != nil:
		return plugins.Result{}, err
	}
	if err := s.declared(found.Metrics); err != nil {
		return plugins.Result{}, err
	}
	if err := writeScores(filepath.Join(a.OutputDir, scoresPath), found.Scores); err != nil {
		return plugins.Result{}, err
	}
	if err := writeMetrics(filepath.Join(a.OutputDir, metricsPath), found.Metrics); err != nil {
		return plugins.Result{}, err
	}
	return plugins.Result{Metrics: found.Metrics}, nil
}

// writeMetrics writes an object, also when it is empty: the output is required.
func writeMetrics(path string, metrics map[string]float64) error {
	if metrics == nil {
		metrics = map[string]float64{}
	}
	text, err := json.MarshalIndent(metrics, "", "  ")
	if err == nil {
		err = os.WriteFile(path, append(text, '\n'), 0o644)
	}
	if err != nil {
		return fmt.Errorf("writing the metrics: %w", err)
	}
	return nil
}

// declared refuses metrics that the description does not name, or that are no numbers.
func (s evaluatorStage) declared(metrics map[string]float64) error {
	names := make([]string, 0, len(metrics))
	for name := range metrics {
		names = append(names, name)
	}
	slices.Sort(names)
	specs := s.Info().Metrics
	for _, name := range names {
		if !slices.ContainsFunc(specs, func(m plugins.MetricSpec) bool { return m.Name == name }) {
			return plugins.Errorf(plugins.Internal, "the evaluator reports the metric %q, which it does not declare", name)
		}
		if x := metrics[name]; math.IsNaN(x) || math.IsInf(x, 0) {
			return plugins.Errorf(plugins.Internal, "the metric %q is %v", name, x)
		}
	}
	return nil
}

// writeScores writes a line per score; without any there is no file, for an empty output is none.
func writeScores(path string, scores []Score) (err error) {
	if len(scores) == 0 {
		return nil
	}
	f, err := os.Create(path)
	if err != nil {
		return err
	}
	defer func() {
		if cerr := f.Close(); err == nil {
			err = cerr
		}
	}()
	w := bufio.NewWriter(f)
	enc := json.NewEncoder(w)
	enc.SetEscapeHTML(false)
	for _, s := range scores {
		if err := enc.Encode(s); err != nil {
			return plugins.Errorf(plugins.Internal, "writing the score of row %q: %w", s.ID, err)
		}
	}
	return w.Flush()
}
