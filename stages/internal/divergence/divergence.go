// Package divergence measures how far a model's predictions on a text are from another's: what a
// conversion, a quantisation or an adapter changed. Logits are compared as they come, so that the
// size of the vocabulary does not matter.
package divergence

import (
	"context"
	"errors"
	"fmt"
	"math"
	"slices"

	"github.com/so8t/so8t/stages/internal/metrics"
	"github.com/so8t/so8t/stages/internal/phi3"
)

// Chunk is the number of tokens that are read at a time by llama-perplexity's rule: of each chunk
// the second half is scored, on the next token, so the last position has nothing to be compared
// with.
const Chunk = 512

// Report is a comparison. KL is in nats.
type Report struct {
	Chunks    int `json:"chunks"`
	Positions int `json:"positions"`
	// Reference and Candidate are each model's own figures.
	Reference Model   `json:"reference"`
	Candidate Model   `json:"candidate"`
	MeanKL    float64 `json:"mean_kl"` // KL(reference‖candidate)
	MedianKL  float64 `json:"median_kl"`
	P99KL     float64 `json:"p99_kl"`
	MaxKL     float64 `json:"max_kl"`
	// SameTop is the share of positions where both find the same token most probable.
	SameTop float64 `json:"same_top"`
	// MaxLogit is the largest difference of two logits.
	MaxLogit float64 `json:"max_logit_difference"`
}

// Model is one model's figures.
type Model struct {
	NLL        float64 `json:"nll"` // mean -log p of the next token, nats
	Perplexity float64 `json:"perplexity"`
}

// PerplexityRatio is the candidate's perplexity over the reference's.
func (r Report) PerplexityRatio() float64 { return math.Exp(r.Candidate.NLL - r.Reference.NLL) }

// Measure runs both models over whole chunks of ids. progress, when not nil, gets the number of
// chunks done.
func Measure(ctx context.Context, reference, candidate *phi3.Runner, ids []int32, chunk int, progress func(done int)) (Report, error) {
	if len(ids) < chunk || chunk < 4 {
		return Report{}, fmt.Errorf("comparing models: %d tokens in chunks of %d", len(ids), chunk)
	}
	V, first, end := reference.Config.Vocab, chunk/2, chunk-1
	if V != candidate.Config.Vocab {
		return Report{}, errors.New("comparing models: their vocabularies have different sizes")
	}
	logits := make([]float32, (end-first)*V) // the reference's of one chunk
	t := totals{per: end - first}
	for done := 1; len(ids) >= chunk; done++ {
		if err := ctx.Err(); err != nil {
			return Report{}, err
		}
		tokens := ids[:chunk]
		ids = ids[chunk:]
		if err := reference.EachLogits(tokens, first, end, func(at int, rows []float32) error {
			copy(logits[(at-first)*V:], rows)
			return nil
		}); err != nil {
			return Report{}, fmt.Errorf("running the reference: %w", err)
		}
		if err := candidate.EachLogits(tokens, first, end, func(at int, rows []float32) error {
			for i := 0; i < len(rows); i, at = i+V, at+1 {
				t.add(logits[(at-first)*V:][:V], rows[i:i+V], int(tokens[at+1]))
			}
			return nil
		}); err != nil {
			return Report{}, fmt.Errorf("running the candidate: %w", err)
		}
		if progress != nil {
			progress(done)
		}
	}
	return t.report(), nil
}

// totals sums over positions, in float64.
type totals struct {
	per        int       // positions a chunk
	kl         []float64 // of each position
	nllP, nllQ float64
	sameTop    int
	maxLogit   float64
}

// add compares the two models' logits at one position, whose next token is target.
func (t *totals) add(p, q []float32, target int) {
	topP, sumP := logSum(p)
	topQ, sumQ := logSum(q)
	d := 0.0
	for i := range p {
		logP, logQ := float64(p[i])-sumP, float64(q[i])-sumQ
		d += math.Exp(logP) * (logP - logQ)
		t.maxLogit = max(t.maxLogit, math.Abs(float64(p[i])-float64(q[i])))
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

func (t *totals) report() Report {
	n := float64(len(t.kl))
	sum := 0.0
	for _, v := range t.kl {
		sum += v
	}
	slices.Sort(t.kl)
	model := func(nll float64) Model { return Model{nll / n, math.Exp(nll / n)} }
	return Report{
		Chunks: len(t.kl) / t.per, Positions: len(t.kl),
		Reference: model(t.nllP), Candidate: model(t.nllQ),
		MeanKL: sum / n, MedianKL: metrics.Quantile(t.kl, 0.5), P99KL: metrics.Quantile(t.kl, 0.99), MaxKL: t.kl[len(t.kl)-1],
		SameTop: float64(t.sameTop) / n, MaxLogit: t.maxLogit,
	}
}
