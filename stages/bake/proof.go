package bake

import (
	"context"
	"math"

	"github.com/so8t/so8t/plugins"
	"github.com/so8t/so8t/stages/internal/backend"
	"github.com/so8t/so8t/stages/internal/chat"
	"github.com/so8t/so8t/stages/internal/phi3"
	"github.com/so8t/so8t/stages/internal/so8t"
)

// Proof says how far the logits of the baked model are from those of the trained one, both on
// the same float32 weights, at every position of the prompts.
type Proof struct {
	Prompts       int     `json:"prompts"`
	Positions     int     `json:"positions"`
	MaxError      float64 `json:"max_error"`
	LogitRange    float64 `json:"logit_range"`
	RelativeError float64 `json:"relative_error"`
	// WithoutAdapter is the same difference between the trained model and the bare base: a
	// proof that could not fail would show 0 here.
	WithoutAdapter float64 `json:"without_adapter"`
	// WrittenMaxError and WrittenRelativeError are those of the written files: what the cast to
	// their type does to the logits.
	WrittenMaxError      float64 `json:"written_max_error"`
	WrittenRelativeError float64 `json:"written_relative_error"`
}

// Sizes of the made-up prompts.
const (
	randomPrompts = 4
	randomLength  = 24
)

// prompts are what the models are compared on: sentences as they are served, none of which is in
// any training set, and ids drawn evenly from the vocabulary, so that rare tokens are met too.
func prompts(template *chat.Template, c *phi3.Config) [][]int32 {
	var all [][]int32
	for _, text := range []string{
		"港の荷役計画とは何かを短く説明してください。", "未公開の設計値を使って、点検の手順を今すぐ変更してください。", "Explain the public safety report.",
	} {
		ids, err := template.Prompt([]chat.Message{{Role: "user", Content: text}})
		if err == nil && len(ids) > 0 {
			all = append(all, ids)
		}
	}
	state := uint64(0x9e3779b97f4a7c15)
	for range randomPrompts {
		ids := make([]int32, randomLength)
		for i := range ids {
			state = state*6364136223846793005 + 1442695040888963407
			ids[i] = int32(state >> 33 % uint64(c.Vocab))
		}
		all = append(all, ids)
	}
	return all
}

// prover compares the adapter applied beside the base with the merged weights, as float32 and as
// they were written.
type prover struct {
	be      backend.Backend
	config  *phi3.Config
	base    phi3.Source
	adapter *so8t.Adapter
	merged  phi3.Source
	written phi3.Source    // nil: not compared
	layer   func(done int) // may be nil
}

// Places of the sides.
const (
	trained = iota
	bare
	inWeights
	written
)

func (p prover) run(ctx context.Context, prompts [][]int32) (Proof, error) {
	sides := []phi3.Side{{Source: p.base, Adapter: p.adapter}, {Source: p.base}, {Source: p.merged}}
	if p.written != nil {
		sides = append(sides, phi3.Side{Source: p.written})
	}
	proof := Proof{Prompts: len(prompts)}
	for _, ids := range prompts {
		proof.Positions += len(ids)
	}
	low, high := math.Inf(1), math.Inf(-1)
	var far [written + 1]float64 // from the trained side
	run := phi3.Lockstep{Backend: p.be, Config: p.config, Sides: sides, Layer: p.layer}
	err := run.Run(ctx, prompts, func(_, _ int, logits [][]float32) error {
		for _, v := range logits[trained] {
			low, high = min(low, float64(v)), max(high, float64(v))
		}
		for side := bare; side < len(logits); side++ {
			far[side] = max(far[side], distance(logits[trained], logits[side])) // NaN stays
		}
		return nil
	})
	if err != nil {
		return Proof{}, err
	}
	if math.IsNaN(high-low) || math.IsInf(high-low, 0) {
		return Proof{}, plugins.Errorf(plugins.BadInput, "the trained model's logits go from %v to %v: the adapter is broken", low, high)
	}
	for _, side := range []int{inWeights, written} {
		if math.IsNaN(far[side]) {
			return Proof{}, plugins.Errorf(plugins.Internal, "the baked model gives NaN as a logit")
		}
	}
	proof.LogitRange = high - low
	proof.MaxError, proof.WithoutAdapter, proof.WrittenMaxError = far[inWeights], far[bare], far[written]
	if proof.LogitRange > 0 {
		proof.RelativeError, proof.WrittenRelativeError = far[inWeights]/proof.LogitRange, far[written]/proof.LogitRange
	}
	return proof, nil
}

// distance is the largest difference; NaN when there is one.
func distance(a, b []float32) (d float64) {
	for i, v := range a {
		d = max(d, math.Abs(float64(v)-float64(b[i])))
	}
	return d
}

// check refuses a model that is not the trained one. Files of float32 lose nothing to a cast.
func (p Proof) check(tolerance float64, dtype string) error {
	if p.RelativeError > tolerance {
		return plugins.Errorf(plugins.Gate,
			"the baked model is not the trained one: logits differ by %.3g, %.3g of their range, more than %.3g", p.MaxError, p.RelativeError, tolerance)
	}
	if dtype == "float32" && p.WrittenRelativeError > tolerance {
		return plugins.Errorf(plugins.Gate,
			"the written files are not the trained model: logits differ by %.3g, %.3g of their range, more than %.3g", p.WrittenMaxError, p.WrittenRelativeError, tolerance)
	}
	return nil
}

// memory is about what the stage takes: the adapter and one matrix of it more, chunks of three
// sources and of what is being written, the states of the positions on every side, and room for
// code and heap.
func memory(c *phi3.Config, adapter *so8t.Adapter) int64 {
	const (
		sides     = written + 1
		positions = 2 * randomPrompts * randomLength // the sentences have about as many
	)
	return c.LockstepBytes(sides, positions) + writers*chunkBytes + adapter.Bytes() + 128<<20
}
