package eval

import (
	"bufio"
	"encoding/json"
	"fmt"
	"os"

	"github.com/so8t/so8t/stages/internal/dataset"
	"github.com/so8t/so8t/stages/internal/metrics"
	"github.com/so8t/so8t/stages/internal/scoring"
)

// prediction is one line of predictions.jsonl. Scores are raw summed log-probabilities, Probs
// their softmax before the temperature.
type prediction struct {
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

// decisions are the label indices that a server would decide.
func (e *evaluation) decisions(j judged) []int {
	return scoring.Decisions(j.scores, e.calibrate.Temperature, e.calibrate.AllowThreshold)
}

func (e *evaluation) predictions(model string, j judged) []prediction {
	decisions := e.decisions(j)
	lines := make([]prediction, len(e.rows))
	for i, row := range e.rows {
		p := prediction{
			ID: row.ID, Text: row.PromptText(), Label: row.Label, Decision: dataset.Labels[decisions[i]],
			Scores: map[string]float64{}, Probs: map[string]float64{}, Output: j.outputs[i], Model: model,
			Domain: row.Domain, Template: row.Template, Topic: row.Topic,
		}
		probs := metrics.Softmax(j.scores[i], 1)
		for k, label := range dataset.Labels {
			p.Scores[label], p.Probs[label] = j.scores[i][k], probs[k]
		}
		p.Predicted = dataset.Labels[metrics.Argmax(j.scores[i])]
		lines[i] = p
	}
	return lines
}

func writePredictions(path string, lines []prediction) (err error) {
	f, err := os.Create(path)
	if err != nil {
		return fmt.Errorf("writing predictions: %w", err)
	}
	defer func() {
		if closeErr := f.Close(); err == nil {
			err = closeErr
		}
	}()
	w := bufio.NewWriter(f)
	encoder := json.NewEncoder(w)
	encoder.SetEscapeHTML(false)
	for _, line := range lines {
		if err := encoder.Encode(line); err != nil {
			return fmt.Errorf("writing predictions: %w", err)
		}
	}
	return w.Flush()
}
