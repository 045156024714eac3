// Package scoring asks a model for the judgement of a conversation: the log-probability of each
// label's first line, and from it the predicted label and the decision.
package scoring

import (
	"fmt"

	"github.com/so8t/so8t/stages/internal/backend"
	"github.com/so8t/so8t/stages/internal/chat"
	"github.com/so8t/so8t/stages/internal/compute"
	"github.com/so8t/so8t/stages/internal/dataset"
	"github.com/so8t/so8t/stages/internal/modelfile"
	"github.com/so8t/so8t/stages/internal/phi3"
	"github.com/so8t/so8t/stages/internal/so8t"
)

// Judge is a model ready to score. It is for one goroutine.
type Judge struct {
	runner   *phi3.Runner
	base     *phi3.Base
	model    *modelfile.Model
	template *chat.Template
}

// Open loads a model, with an adapter beside it or nil, for conversations whose longest one has
// at most maxLen tokens.
func Open(be backend.Backend, path string, adapter *so8t.Adapter, maxLen int) (*Judge, error) {
	m, err := modelfile.Open(path)
	if err != nil {
		return nil, err
	}
	j := &Judge{model: m, template: m.Template}
	if err := j.load(be, adapter, maxLen); err != nil {
		_ = j.Close()
		return nil, err
	}
	return j, nil
}

func (j *Judge) load(be backend.Backend, adapter *so8t.Adapter, maxLen int) error {
	if adapter != nil {
		if err := phi3.CheckAdapter(j.model.Config, adapter); err != nil {
			return err
		}
	}
	weights, err := phi3.Load(j.model.Config, j.model.Source, phi3.StoreNative)
	if err != nil {
		return err
	}
	if j.base, err = phi3.NewBase(be, weights, min(maxLen, j.model.Config.Longest())); err != nil {
		return err
	}
	j.runner, err = phi3.NewRunner(j.base, adapter)
	return err
}

// Memory opens the model at path and returns what a Judge of it takes, in bytes.
func Memory(path string) (int64, error) {
	m, err := modelfile.Open(path)
	if err != nil {
		return 0, err
	}
	defer m.Close()
	dry := compute.OpenDry("cpu")
	defer func() { _ = dry.Close() }()
	kind, bytes := m.Held()
	p, err := m.Config.PlanScoring(dry, kind, bytes)
	return p.Total() + 64<<20, err // and code, heap, the rows
}

// Close gives the model back.
func (j *Judge) Close() error {
	if j.runner != nil {
		j.runner.Release()
	}
	if j.base != nil {
		j.base.Release()
	}
	return j.model.Close()
}

// Runner is the model itself.
func (j *Judge) Runner() *phi3.Runner { return j.runner }

// Template is the model's chat format.
func (j *Judge) Template() *chat.Template { return j.template }

// Scores returns, for each row, Σ log p of every label's first line from the first token in which
// the lines differ through the line's end, in nats, in the order of dataset.Labels; never
// normalised by length. progress, when not nil, is told how many rows are done.
func (j *Judge) Scores(rows []dataset.Row, progress func(done int)) ([][]float64, error) {
	questions := make([]phi3.Question, len(rows))
	for i, row := range rows {
		q, err := j.question(row)
		if err != nil {
			return nil, fmt.Errorf("scoring row %q: %w", row.ID, err)
		}
		questions[i] = q
	}
	return j.runner.Score(questions, progress)
}

func (j *Judge) question(row dataset.Row) (phi3.Question, error) {
	lines := make([]string, len(dataset.Labels))
	for k, label := range dataset.Labels {
		lines[k] = dataset.FirstLine(label)
	}
	encoded, err := j.template.Lines(row.Prompt(), lines)
	if err != nil {
		return phi3.Question{}, err
	}
	prompt, err := j.template.Prompt(row.Prompt())
	if err != nil {
		return phi3.Question{}, err
	}
	q := phi3.Question{Prompt: prompt}
	for _, line := range encoded {
		q.Continuations = append(q.Continuations, line.IDs[len(prompt):])
	}
	return q, nil
}

// Longest returns the number of tokens of the longest row with a label's line behind it, as the
// tokenizer of the model at path counts.
func Longest(path string, rows []dataset.Row) (int, error) {
	m, err := modelfile.Open(path)
	if err != nil {
		return 0, err
	}
	defer m.Close()
	j := &Judge{template: m.Template}
	longest := 0
	for _, row := range rows {
		q, err := j.question(row)
		if err != nil {
			return 0, fmt.Errorf("reading row %q: %w", row.ID, err)
		}
		for _, c := range q.Continuations {
			longest = max(longest, len(q.Prompt)+len(c))
		}
		if longest > m.Config.Longest() {
			return 0, fmt.Errorf("row %q has %d tokens with its judgement, the model's context only %d: shorten it, or leave it out", row.ID, longest, m.Config.Longest())
		}
	}
	return longest, nil
}

// Tokens counts what Scores computes for rows: each prompt once, and each label's line behind it.
func Tokens(j *Judge, rows []dataset.Row) int {
	n := 0
	for _, row := range rows {
		q, err := j.question(row)
		if err != nil {
			continue // Scores has reported it
		}
		n += len(q.Prompt)
		for _, c := range q.Continuations {
			n += len(c)
		}
	}
	return n
}
