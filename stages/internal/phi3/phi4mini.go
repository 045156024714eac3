package phi3

import "github.com/so8t/so8t/stages/internal/backend"

// phi4MiniLong are Phi-4-mini's long factors.
var phi4MiniLong = []float64{1, 1.118320672, 1.250641126, 1.398617824, 1.564103225, 1.74916897, 1.956131817, 2.187582649,
	2.446418898, 2.735880826, 3.059592084, 3.421605075, 3.826451687, 4.279200023, 4.785517845, 5.351743533, 5.984965424, 6.693110555,
	7.485043894, 8.370679318, 9.36110372, 10.4687158, 11.70738129, 13.09260651, 14.64173252, 16.37415215, 18.31155283, 20.47818807,
	22.90118105, 25.61086418, 28.64115884, 32.03, 32.1, 32.13, 32.23, 32.6, 32.61, 32.64, 32.66, 32.7, 32.71, 32.93, 32.97, 33.28,
	33.49, 33.5, 44.16, 47.77}

// Phi4Mini is what config.json of Phi-4-mini-instruct says.
func Phi4Mini() *Config {
	short := make([]float64, len(phi4MiniLong))
	for i := range short {
		short[i] = 1
	}
	return &Config{
		Hidden: 3072, Layers: 32, Heads: 24, KVHeads: 8, HeadDim: 128, Intermediate: 8192, Vocab: 200_064,
		MaxPositions: 131_072, OriginalMaxPositions: 4096, RMSEps: 1e-5, RopeTheta: 10_000, PartialRotary: 0.75,
		TiedEmbeddings: true, DType: "bfloat16", InitRange: 0.02, BOS: 199_999, EOS: []int{199_999}, Pad: 199_999,
		SlidingWindow: 262_144,
		Rope:          &LongRope{Short: short, Long: phi4MiniLong, AttentionFactor: DefaultAttentionFactor(131_072, 4096)},
	}
}

// PlanGuide is the fine-tuning of Phi-4-mini at the guide's settings: an int8 base, LoRA of
// rank 64 on every projection, gates in every layer, micro-batches of 2 rows of 512 tokens,
// layers computed again in the backward pass.
func PlanGuide(dry backend.Backend) (MemoryPlan, error) {
	c := Phi4Mini()
	a := AdapterOptions{Rank: 64, Alpha: 128, Dropout: 0.05, Targets: Modules, Gates: "all"}
	return c.PlanTraining(dry, StoreInt8, c.NativeBytes(), a, []int{512, 512}, true)
}
