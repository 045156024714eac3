package phi3

import "github.com/so8t/so8t/stages/internal/backend"

// phi4Mini has the shapes of Phi-4-mini-instruct, without what its memory does not depend on.
func phi4Mini() *Config {
	return &Config{
		Hidden: 3072, Layers: 32, Heads: 24, KVHeads: 8, HeadDim: 128, Intermediate: 8192, Vocab: 200_064,
		MaxPositions: 131_072, OriginalMaxPositions: 4096, RMSEps: 1e-5, RopeTheta: 10_000, PartialRotary: 0.75,
		TiedEmbeddings: true, DType: "bfloat16", InitRange: 0.02, BOS: 199_999, EOS: []int{199_999}, Pad: 199_999,
	}
}

// PlanGuide is the fine-tuning of Phi-4-mini at the guide's settings: an int8 base, LoRA of
// rank 64 on every projection, gates in every layer, micro-batches of 2 rows of 512 tokens,
// layers computed again in the backward pass.
func PlanGuide(dry backend.Backend) (MemoryPlan, error) {
	c := phi4Mini()
	a := AdapterOptions{Rank: 64, Alpha: 128, Dropout: 0.05, Targets: Modules, Gates: "all"}
	return c.PlanTraining(dry, StoreInt8, c.NativeBytes(), a, []int{512, 512}, true)
}
