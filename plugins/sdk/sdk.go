// Package sdk makes a Go type a plugin: Serve is the whole main of one.
//
// It reports events, heartbeats and errors, publishes checkpoints, seals the outputs of a
// stage that succeeded, and ends the process when the engine is gone.
package sdk

import (
	"context"
	"encoding/json"
	"errors"
	"iter"

	"github.com/so8t/so8t/plugins"
)

// Option changes how a plugin is served.
type Option func(*options)

type options struct{}

// Serve serves one stage until the engine ends the process or is gone. The error says why
// the program could not be served: started by hand, or another build than the engine's.
func Serve(stage plugins.Stage, opts ...Option) error { return errors.New("not yet") }

// Evaluator scores the predictions of a model by a rule of its own.
type Evaluator interface {
	// Info says what the evaluator is.
	Info() EvaluatorInfo
	// Evaluate reads the rows and returns the metrics and one score per row.
	Evaluate(ctx context.Context, rows iter.Seq2[Row, error], config json.RawMessage) (Evaluation, error)
}

// EvaluatorInfo describes an evaluator.
type EvaluatorInfo struct {
	Name, Version, Help string
	// Config is a struct with the tags of plugins.SchemaOf for parameters besides
	// `predictions`; nil when there are none.
	Config  any
	Metrics []plugins.MetricSpec
}

// Row is one prediction, as eval writes it.
type Row struct {
	ID        string             `json:"id"`
	Text      string             `json:"text"`
	Label     string             `json:"label"`
	Predicted string             `json:"predicted"`
	Decision  string             `json:"decision"`
	Scores    map[string]float64 `json:"scores"`
	Probs     map[string]float64 `json:"probs"`
	Output    string             `json:"output"`
	Model     string             `json:"model"`
	Domain    string             `json:"domain"`
	Template  string             `json:"template"`
	Topic     string             `json:"topic"`
}

// Evaluation is what an evaluator found.
type Evaluation struct {
	Metrics map[string]float64
	Scores  []Score
}

// Score is the score of one row; it becomes a line of the output `scores`.
type Score struct {
	ID    string  `json:"id"`
	Model string  `json:"model,omitempty"`
	Score float64 `json:"score"`
	Note  string  `json:"note,omitempty"`
}

// ServeEvaluator serves an evaluator as a plugin.
func ServeEvaluator(e Evaluator) error { return errors.New("not yet") }
