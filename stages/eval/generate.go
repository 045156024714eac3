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
	start := time.Now()
	answered := pick(index, e.c.Generate)
	answers, tokens, err := e.answers(ctx, j, answered, phi3.Generation{MaxNew: e.c.MaxNew, Stop: j.Template().Stop()})
	if err != nil {
		return err
	}
	for k, i := range answered {
		out.outputs[i] = answers[k]
	}
	long, more, err := e.answers(ctx, j, pick(index, e.c.Long), phi3.Generation{MaxNew: e.c.LongTokens})
	if err != nil {
		return err
	}
	out.long = long
	if tokens += more; tokens > 0 {
		e.speed.decode = float64(tokens) / time.Since(start).Seconds()
	}
	return nil
}

// pick is spread for a number that means none when it is 0.
func pick(rows []int, n int) []int {
	if n == 0 {
		return nil
	}
	return spread(rows, n)
}

// answers continues the prompts of rows and returns the texts and the number of tokens in them.
func (e *evaluation) answers(ctx context.Context, j *scoring.Judge, rows []int, g phi3.Generation) ([]string, int, error) {
	prompts := make([][]int32, len(rows))
	for k, i := range rows {
		prompt, err := j.Template().Prompt(e.rows[i].Prompt())
		if err != nil {
			return nil, 0, err
		}
		prompts[k] = prompt
	}
	ids, _, err := j.Runner().GenerateMany(ctx, prompts, g, func(done int) { e.a.Progress(int64(done), int64(len(rows)), "answer") })
	if err != nil {
		return nil, 0, err
	}
	texts, tokens := make([]string, len(ids)), 0
	for k := range ids {
		texts[k] = j.Template().Tokenizer().DecodeSkipSpecial(ids[k])
		tokens += len(ids[k])
	}
	return texts, tokens, nil
}
