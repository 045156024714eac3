package bake

import (
	"fmt"
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
}

// Sizes of the made-up prompts.
const (
	randomPrompts = 4
	randomLength  = 24
)

// prompts are what the two models are compared on: sentences as they are served, and ids drawn
// evenly from the vocabulary, so that rare tokens are met too.
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

// proofBytes is about the memory that prove takes: what can be merged as float32, the rest as it
// is, the logits of three models, and room for code and heap.
func proofBytes(c *phi3.Config) int64 {
	const positions = 2 * randomPrompts * randomLength // the sentences have about as many
	total := 3*4*positions*int64(c.Vocab) + 64<<20
	for _, t := range c.Tensors() {
		width := c.NativeBytes()
		if t.Role == phi3.RoleLinear {
			width = 4
		}
		total += int64(width) * int64(t.Len())
	}
	return total
}

// prove compares the adapter applied beside the base with the merged weights.
func prove(be backend.Backend, folder *phi3.Folder, adapter *so8t.Adapter, merged phi3.Source, prompts [][]int32) (Proof, error) {
	longest, positions := 0, 0
	for _, p := range prompts {
		longest = max(longest, len(p))
		positions += len(p)
	}
	before, err := logits(be, folder.Config, folder, []*so8t.Adapter{adapter, nil}, longest, prompts)
	if err != nil {
		return Proof{}, fmt.Errorf("computing the logits of the trained model and its base: %w", err)
	}
	after, err := logits(be, folder.Config, merged, []*so8t.Adapter{nil}, longest, prompts)
	if err != nil {
		return Proof{}, fmt.Errorf("computing the logits of the baked model: %w", err)
	}
	trained, bare, baked := before[0], before[1], after[0]
	p := Proof{Prompts: len(prompts), Positions: positions}
	low, high := math.Inf(1), math.Inf(-1)
	for i, v := range trained {
		x := float64(v)
		if math.IsNaN(x) || math.IsInf(x, 0) {
			return Proof{}, plugins.Errorf(plugins.BadInput, "the trained model gives %v as a logit: the adapter is broken", v)
		}
		low, high = min(low, x), max(high, x)
		p.MaxError = max(p.MaxError, math.Abs(x-float64(baked[i])))
		p.WithoutAdapter = max(p.WithoutAdapter, math.Abs(x-float64(bare[i])))
	}
	p.LogitRange = high - low
	if p.LogitRange > 0 {
		p.RelativeError = p.MaxError / p.LogitRange
	}
	if math.IsNaN(p.MaxError) {
		return Proof{}, plugins.Errorf(plugins.Internal, "the baked model gives NaN as a logit")
	}
	return p, nil
}

// logits returns those of one set of weights with each of the adapters beside it. What of the
// source needs no change is used where it lies.
func logits(be backend.Backend, c *phi3.Config, source phi3.Source, adapters []*so8t.Adapter, longest int, prompts [][]int32) ([][]float32, error) {
	weights, err := phi3.Load(c, source, phi3.StoreNative)
	if err != nil {
		return nil, err
	}
	base, err := phi3.NewBase(be, weights, longest)
	if err != nil {
		return nil, err
	}
	defer base.Release()
	all := make([][]float32, len(adapters))
	for i, adapter := range adapters {
		runner, err := phi3.NewRunner(base, adapter)
		if err != nil {
			return nil, err
		}
		all[i], err = runner.Logits(prompts...)
		runner.Release()
		if err != nil {
			return nil, err
		}
	}
	return all, nil
}
