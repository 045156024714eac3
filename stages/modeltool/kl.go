package modeltool

import (
	"context"
	"encoding/json"
	"fmt"
	"io"
	"math"
	"slices"

	"github.com/so8t/so8t/stages/internal/metrics"
	"github.com/so8t/so8t/stages/internal/modelfile"
)

// The rule of llama-perplexity for a context of 512: every chunk's second half is scored, on
// the next token, so the last position has nothing to be compared with.
const (
	klContext = 512
	klFirst   = klContext / 2 // first position scored, 256
	klEnd     = klContext - 1 // behind the last one, 510
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
			return r.write(s.out)
		}
	},
}

// klReport is the result of kl. KL is in nats.
type klReport struct {
	Chunks    int `json:"chunks"`
	Positions int `json:"positions"`
	// Reference and Candidate are each model's own figures.
	Reference klModel `json:"reference"`
	Candidate klModel `json:"candidate"`
	MeanKL    float64 `json:"mean_kl"`
	MedianKL  float64 `json:"median_kl"`
	P99KL     float64 `json:"p99_kl"`
	MaxKL     float64 `json:"max_kl"`
	// SameTop is the share of positions where both find the same token most probable.
	SameTop float64 `json:"same_top"`
}

type klModel struct {
	NLL        float64 `json:"nll"` // mean -log p of the next token, nats
	Perplexity float64 `json:"perplexity"`
}

func compareModels(ctx context.Context, d device, reference, candidate, text string, chunks int) (klReport, error) {
	be, err := d.open()
	if err != nil {
		return klReport{}, err
	}
	defer discard(be)
	var models [2]*modelfile.Model
	var nets [2]*network
	for i, path := range []string{reference, candidate} {
		if models[i], err = open(path); err != nil {
			return klReport{}, err
		}
		defer discard(models[i])
	}
	if a, b := models[0].Config.Vocab, models[1].Config.Vocab; a != b {
		return klReport{}, badInputf("vocabularies of %d and %d tokens cannot be compared", a, b)
	}
	ids := models[0].Template.Tokenizer().Encode(text)
	if !slices.Equal(ids, models[1].Template.Tokenizer().Encode(text)) {
		return klReport{}, badInputf("the models' tokenizers disagree on the text, so their predictions cannot be compared")
	}
	n := len(ids) / klContext
	if n == 0 {
		return klReport{}, badInputf("the text has %d tokens; at least %d are needed", len(ids), klContext)
	}
	if chunks > 0 {
		n = min(n, chunks)
	}
	for i := range nets {
		if nets[i], err = newNetwork(be, models[i], "", klContext); err != nil {
			return klReport{}, err
		}
		defer nets[i].Release()
	}
	return measureKL(ctx, nets[0], nets[1], ids[:n*klContext])
}

func measureKL(ctx context.Context, reference, candidate *network, ids []int32) (klReport, error) {
	V := reference.Config.Vocab
	logits := make([]float32, (klEnd-klFirst)*V) // the reference's of one chunk
	var t klTotals
	for len(ids) > 0 {
		if err := ctx.Err(); err != nil {
			return klReport{}, err
		}
		chunk := ids[:klContext]
		ids = ids[klContext:]
		if err := reference.EachLogits(chunk, klFirst, klEnd, func(at int, rows []float32) error {
			copy(logits[(at-klFirst)*V:], rows)
			return nil
		}); err != nil {
			return klReport{}, fmt.Errorf("running the reference: %w", err)
		}
		if err := candidate.EachLogits(chunk, klFirst, klEnd, func(at int, rows []float32) error {
			for i := 0; i < len(rows); i, at = i+V, at+1 {
				t.add(logits[(at-klFirst)*V:][:V], rows[i:i+V], int(chunk[at+1]))
			}
			return nil
		}); err != nil {
			return klReport{}, fmt.Errorf("running the candidate: %w", err)
		}
	}
	return t.report(), nil
}

// klTotals sums over positions, in float64.
type klTotals struct {
	kl         []float64 // of each position
	nllP, nllQ float64
	sameTop    int
}

// add compares the two models' logits at one position, whose next token is target.
func (t *klTotals) add(p, q []float32, target int) {
	topP, sumP := logSum(p)
	topQ, sumQ := logSum(q)
	d := 0.0
	for i := range p {
		logP, logQ := float64(p[i])-sumP, float64(q[i])-sumQ
		d += math.Exp(logP) * (logP - logQ)
	}
	t.kl = append(t.kl, d)
	t.nllP += sumP - float64(p[target])
	t.nllQ += sumQ - float64(q[target])
	if topP == topQ {
		t.sameTop++
	}
}

// logSum returns the first largest place of z and log Σ exp z.
func logSum(z []float32) (top int, sum float64) {
	for i, v := range z {
		if v > z[top] {
			top = i
		}
	}
	high := float64(z[top])
	for _, v := range z {
		sum += math.Exp(float64(v) - high)
	}
	return top, high + math.Log(sum)
}

func (t *klTotals) report() klReport {
	n := float64(len(t.kl))
	sum := 0.0
	for _, v := range t.kl {
		sum += v
	}
	slices.Sort(t.kl)
	model := func(nll float64) klModel { return klModel{nll / n, math.Exp(nll / n)} }
	return klReport{
		Chunks: len(t.kl) / (klEnd - klFirst), Positions: len(t.kl),
		Reference: model(t.nllP), Candidate: model(t.nllQ),
		MeanKL: sum / n, MedianKL: metrics.Quantile(t.kl, 0.5), P99KL: metrics.Quantile(t.kl, 0.99), MaxKL: t.kl[len(t.kl)-1],
		SameTop: float64(t.sameTop) / n,
	}
}

func (r klReport) write(out io.Writer) error {
	_, err := fmt.Fprintf(out, `%d positions in %d chunks of %d tokens
mean KL     %.3g nats (median %.3g, 99 %% %.3g, max %.3g)
same top    %.2f %%
perplexity  %.4f reference, %.4f candidate
`, r.Positions, r.Chunks, klContext, r.MeanKL, r.MedianKL, r.P99KL, r.MaxKL, 100*r.SameTop, r.Reference.Perplexity, r.Candidate.Perplexity)
	return err
}
