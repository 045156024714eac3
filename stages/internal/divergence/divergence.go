// Package divergence measures how far a model's predictions on a text are from another's: what a
// conversion, a quantisation or an adapter changed. Weights and logits are compared as they come, so
// that the size of the model and of its vocabulary do not matter.
package divergence

import (
	"context"
	"fmt"
	"math"
	"slices"

	"github.com/so8t/so8t/stages/internal/backend"
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

// batchTokens is about how many tokens run at once, on both models. More would read the weights
// less often, which costs a twentieth of the arithmetic, and take more memory.
const batchTokens = 512

// Memory is about what Measure takes, beside sources and adapters, in bytes.
func Memory(c *phi3.Config) int64 { return c.LockstepBytes(2, batchTokens) }

// Pair is two models that compute alike: of one configuration, a reference and a candidate.
type Pair struct {
	Backend              backend.Backend
	Config               *phi3.Config
	Reference, Candidate phi3.Side
}

// Measure runs both models over whole chunks of ids. Their weights pass through in pieces: of a
// model of any size a piece is in memory. progress, when not nil, gets the share that is done.
func (p Pair) Measure(ctx context.Context, ids []int32, chunk int, progress func(done, total int)) (Report, error) {
	if len(ids) < chunk || chunk < 4 {
		return Report{}, fmt.Errorf("comparing models: %d tokens in chunks of %d", len(ids), chunk)
	}
	t := totals{per: chunk - 1 - chunk/2}
	chunks := slices.Collect(slices.Chunk(ids[:len(ids)/chunk*chunk], chunk))
	batches := slices.Collect(slices.Chunk(chunks, max(1, batchTokens/chunk)))
	for done, seqs := range batches {
		rows := newPositions(seqs, chunk/2)
		run := phi3.Lockstep{Backend: p.Backend, Config: p.Config, Sides: []phi3.Side{p.Reference, p.Candidate}, From: chunk / 2}
		if progress != nil {
			run.Layer = func(layers int) { progress(done*p.Config.Layers+layers, len(batches)*p.Config.Layers) }
		}
		if err := run.Run(ctx, seqs, rows.add); err != nil {
			return Report{}, fmt.Errorf("comparing models: %w", err)
		}
		for i := range rows {
			t.add(&rows[i])
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

// add takes a position whose logits have all been seen.
func (t *totals) add(p *position) {
	if p.target < 0 {
		return
	}
	t.kl = append(t.kl, p.cross/p.p.sum-(p.p.log()-p.q.log()))
	t.nllP += p.p.log() - p.p.target
	t.nllQ += p.q.log() - p.q.target
	t.maxLogit = max(t.maxLogit, p.maxLogit)
	if p.p.top == p.q.top {
		t.sameTop++
	}
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
