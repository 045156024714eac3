package sdk

import (
	"context"
	"encoding/json"
	"iter"

	"github.com/so8t/so8t/plugins"
)

// Mean is the evaluator that most people need: every row gets a score, and the one metric is
// the mean of the scores.
type Mean struct {
	Name, Version, Help string
	Metric              plugins.MetricSpec
	// Score scores one row; ok is false for a row that does not count.
	Score func(row Row) (score float64, ok bool)
}

var _ Evaluator = Mean{}

// Info implements Evaluator.
func (m Mean) Info() EvaluatorInfo {
	return EvaluatorInfo{Name: m.Name, Version: m.Version, Help: m.Help, Metrics: []plugins.MetricSpec{m.Metric}}
}

// Evaluate implements Evaluator.
func (m Mean) Evaluate(_ context.Context, rows iter.Seq2[Row, error], _ json.RawMessage) (Evaluation, error) {
	var e Evaluation
	sum := 0.0
	for row, err := range rows {
		if err != nil {
			return e, err
		}
		score, ok := m.Score(row)
		if !ok {
			continue
		}
		sum += score
		e.Scores = append(e.Scores, Score{ID: row.ID, Model: row.Model, Score: score})
	}
	if len(e.Scores) == 0 {
		return e, plugins.Errorf(plugins.BadInput, "none of the predictions counts for %s", m.Metric.Name)
	}
	e.Metrics = map[string]float64{m.Metric.Name: sum / float64(len(e.Scores))}
	return e, nil
}
