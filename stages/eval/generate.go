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
	tok := j.Template().Tokenizer()
	tokens, start := 0, time.Now()
	answers := spread(index, e.c.Generate)
	if e.c.Generate == 0 {
		answers = nil
	}
	for _, i := range answers {
		if e.a.Stopping() || ctx.Err() != nil {
			return ctx.Err()
		}
		ids, err := e.answer(ctx, j, i, phi3.Generation{MaxNew: e.c.MaxNew, Stop: j.Template().Stop()})
		if err != nil {
			return err
		}
		tokens += len(ids)
		out.outputs[i] = tok.DecodeSkipSpecial(ids)
	}
	long := spread(index, e.c.Long)
	if e.c.Long == 0 {
		long = nil
	}
	for _, i := range long {
		ids, err := e.answer(ctx, j, i, phi3.Generation{MaxNew: e.c.LongTokens})
		if err != nil {
			return err
		}
		tokens += len(ids)
		out.long = append(out.long, tok.DecodeSkipSpecial(ids))
	}
	if seconds := time.Since(start).Seconds(); tokens > 0 {
		e.speed.decode = float64(tokens) / seconds
	}
	return nil
}

func (e *evaluation) answer(ctx context.Context, j *scoring.Judge, row int, g phi3.Generation) ([]int32, error) {
	prompt, err := j.Template().Prompt(e.rows[row].Prompt())
	if err != nil {
		return nil, err
	}
	ids, _, err := j.Runner().Generate(ctx, prompt, g)
	return ids, err
}
