package eval

import (
	"context"
	"time"

	"github.com/so8t/so8t/stages/internal/phi3"
	"github.com/so8t/so8t/stages/internal/scoring"
)

// generate lets the model answer some rows: to their end, and a few beyond it.
func (e *evaluation) generate(ctx context.Context, j *scoring.Judge, out *judged) error {
	index := make([]int, len(e.rows))
	for i := range index {
		index[i] = i
	}
	answered := pick(index, e.c.Generate)
	answers, short, err := e.answers(ctx, j, answered, phi3.Generation{MaxNew: e.c.MaxNew, Stop: j.Template().Stop()})
	if err != nil {
		return err
	}
	for k, i := range answered {
		out.outputs[i] = answers[k]
	}
	long, rate, err := e.answers(ctx, j, pick(index, e.c.Long), phi3.Generation{MaxNew: e.c.LongTokens})
	if err != nil {
		return err
	}
	out.long = long
	if rate == 0 {
		rate = short
	}
	e.speed.decode = rate
	return nil
}

// pick is spread for a number that means none when it is 0.
func pick(rows []int, n int) []int {
	if n == 0 {
		return nil
	}
	return spread(rows, n)
}

// answers continues the prompts of rows and returns the texts and how many tokens a second were
// generated once the first prompts had been read; 0 when there were none. The long answers have
// all their prompts read by then; among many short ones further prompts are read in between.
func (e *evaluation) answers(ctx context.Context, j *scoring.Judge, rows []int, g phi3.Generation) ([]string, float64, error) {
	prompts := make([][]int32, len(rows))
	for k, i := range rows {
		prompt, err := j.Template().Prompt(e.rows[i].Prompt())
		if err != nil {
			return nil, 0, err
		}
		prompts[k] = prompt
	}
	var began time.Time
	ids, _, err := j.Runner().GenerateMany(ctx, prompts, g, func(done int) {
		if began.IsZero() {
			began = time.Now()
		}
		e.a.Progress(int64(done), int64(len(rows)), "answer")
	})
	if err != nil {
		return nil, 0, err
	}
	took := time.Since(began).Seconds()
	texts, tokens := make([]string, len(ids)), -len(ids) // the first token came with the prompt
	for k := range ids {
		texts[k] = j.Template().Tokenizer().DecodeSkipSpecial(ids[k])
		tokens += len(ids[k])
	}
	if tokens <= 0 || took <= 0 {
		return texts, 0, nil
	}
	return texts, float64(tokens) / took, nil
}
