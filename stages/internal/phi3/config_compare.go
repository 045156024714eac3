package phi3

import (
	"fmt"
	"slices"
)

// Differences are the fields, by their names in config.json, in which another configuration
// computes something else. Numbers are compared as float32, which is how GGUF files keep them.
func (c *Config) Differences(other *Config) (names []string) {
	differs := func(name string, a, b any) {
		if a != b {
			names = append(names, fmt.Sprintf("%s (%v and %v)", name, a, b))
		}
	}
	for _, f := range []struct {
		name string
		a, b int
	}{
		{"hidden_size", c.Hidden, other.Hidden}, {"num_hidden_layers", c.Layers, other.Layers},
		{"num_attention_heads", c.Heads, other.Heads}, {"num_key_value_heads", c.KVHeads, other.KVHeads},
		{"head_dim", c.HeadDim, other.HeadDim}, {"intermediate_size", c.Intermediate, other.Intermediate},
		{"vocab_size", c.Vocab, other.Vocab}, {"max_position_embeddings", c.MaxPositions, other.MaxPositions},
		{"original_max_position_embeddings", c.OriginalMaxPositions, other.OriginalMaxPositions},
		{"rotary channels", c.RotaryDim(), other.RotaryDim()}, {"sliding_window", c.SlidingWindow, other.SlidingWindow},
	} {
		differs(f.name, f.a, f.b)
	}
	differs("tie_word_embeddings", c.TiedEmbeddings, other.TiedEmbeddings)
	differs("rms_norm_eps", float32(c.RMSEps), float32(other.RMSEps))
	differs("rope_theta", float32(c.RopeTheta), float32(other.RopeTheta))
	if !c.Rope.equal(other.Rope) {
		names = append(names, "rope_scaling")
	}
	return names
}

func (r *LongRope) equal(other *LongRope) bool {
	if r == nil || other == nil {
		return r == other
	}
	same := func(a, b float64) bool { return float32(a) == float32(b) }
	return slices.EqualFunc(r.Short, other.Short, same) && slices.EqualFunc(r.Long, other.Long, same) && same(r.AttentionFactor, other.AttentionFactor)
}
