package modeltool

import (
	"context"
	"encoding/json"
	"fmt"
	"io"
	"slices"
	"strings"

	"github.com/so8t/so8t/stages/internal/divergence"
	"github.com/so8t/so8t/stages/internal/modelfile"
	"github.com/so8t/so8t/stages/internal/phi3"
)

var kl = command{
	name: "kl", usage: "REF CANDIDATE --file TEXT [--json]", operands: 2,
	help: "how far a candidate's predictions are from a reference's on a text: mean KL(REF‖CANDIDATE)",
	define: func(f *flags) func(context.Context, []string, streams) error {
		file := f.String("file", "", "`text`, or - for standard input")
		chunks := f.Int("chunks", 0, "at most so `many` chunks of 512 tokens; 0: all")
		asJSON := f.Bool("json", false, "JSON")
		var d device
		d.define(f)
		return func(ctx context.Context, operands []string, s streams) error {
			if err := f.need("file"); err != nil {
				return err
			}
			text, err := readText(*file, s.in)
			if err != nil {
				return err
			}
			r, err := compareModels(ctx, d, operands[0], operands[1], text, *chunks)
			if err != nil {
				return err
			}
			if *asJSON {
				return json.NewEncoder(s.out).Encode(r)
			}
			return writeDivergence(s.out, r)
		}
	},
}

func compareModels(ctx context.Context, d device, reference, candidate, text string, chunks int) (divergence.Report, error) {
	be, err := d.open()
	if err != nil {
		return divergence.Report{}, err
	}
	defer discard(be)
	var models [2]*modelfile.Model
	for i, path := range []string{reference, candidate} {
		if models[i], err = open(path); err != nil {
			return divergence.Report{}, err
		}
		defer discard(models[i])
	}
	if a, b := models[0].Config.Vocab, models[1].Config.Vocab; a != b {
		return divergence.Report{}, badInputf("vocabularies of %d and %d tokens cannot be compared", a, b)
	}
	ids := models[0].Template.Tokenizer().Encode(text)
	if !slices.Equal(ids, models[1].Template.Tokenizer().Encode(text)) {
		return divergence.Report{}, badInputf("the models' tokenizers disagree on the text, so their predictions cannot be compared")
	}
	n := len(ids) / divergence.Chunk
	if n == 0 {
		return divergence.Report{}, badInputf("the text has %d tokens; at least %d are needed", len(ids), divergence.Chunk)
	}
	if chunks > 0 {
		n = min(n, chunks)
	}
	if d := models[0].Config.Differences(models[1].Config); d != nil {
		return divergence.Report{}, badInputf("the models compute otherwise and cannot be compared: they differ in %s", strings.Join(d, ", "))
	}
	pair := divergence.Pair{Backend: be, Config: models[0].Config, Reference: phi3.Side{Source: models[0].Source}, Candidate: phi3.Side{Source: models[1].Source}}
	return pair.Measure(ctx, ids[:n*divergence.Chunk], divergence.Chunk, nil)
}

func writeDivergence(out io.Writer, r divergence.Report) error {
	_, err := fmt.Fprintf(out, `%d positions in %d chunks of %d tokens
mean KL     %.3g nats (median %.3g, 99 %% %.3g, max %.3g)
same top    %.2f %%
perplexity  %.4f reference, %.4f candidate
`, r.Positions, r.Chunks, divergence.Chunk, r.MeanKL, r.MedianKL, r.P99KL, r.MaxKL, 100*r.SameTop, r.Reference.Perplexity, r.Candidate.Perplexity)
	return err
}
