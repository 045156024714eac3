package phi3

import (
	"fmt"
	"math"
)

// Config is what config.json says about a model that this package can run: every
// field that changes the result, and nothing else.
type Config struct {
	Hidden       int // C
	Layers       int
	Heads        int // H, query heads
	KVHeads      int // K, key-value heads; each serves H/K query heads
	HeadDim      int // D
	Intermediate int // I
	Vocab        int // V

	MaxPositions         int
	OriginalMaxPositions int // longest sequence with the short rotary factors

	RMSEps        float64
	RopeTheta     float64
	PartialRotary float64 // share of D that is rotated
	Rope          *LongRope

	TiedEmbeddings bool
	// SlidingWindow is how far back a token may look (0 = anywhere): see Longest.
	SlidingWindow int

	BOS, Pad  int   // -1 = absent
	EOS       []int // first is the one of config.json's single form
	DType     string
	InitRange float64

	// Unrecognised are keys of config.json that are neither understood nor known to
	// be harmless, sorted: something to warn about.
	Unrecognised []string
}

// LongRope divides the rotary frequencies by one factor per pair: Short up to
// OriginalMaxPositions, Long beyond. AttentionFactor multiplies cos and sin in both.
type LongRope struct {
	Short, Long     []float64
	AttentionFactor float64
}

// RotaryDim is the number of leading channels of each head that are rotated.
func (c *Config) RotaryDim() int { return int(float64(c.HeadDim) * c.PartialRotary) }

// QKVOut is the number of rows of the fused projection: Q, then K, then V.
func (c *Config) QKVOut() int { return (c.Heads + 2*c.KVHeads) * c.HeadDim }

// AttnOut is the number of columns of o_proj: all query heads side by side.
func (c *Config) AttnOut() int { return c.Heads * c.HeadDim }

// Longest is the longest sequence that can be run: windowed attention is not supported, so a
// sliding window ends it where it would begin to bind.
func (c *Config) Longest() int {
	if c.SlidingWindow > 0 {
		return min(c.MaxPositions, c.SlidingWindow)
	}
	return c.MaxPositions
}

// CheckLength is an error that says which field of config.json a length does not fit.
func (c *Config) CheckLength(tokens int) error {
	switch {
	case tokens < 1 || tokens > c.MaxPositions:
		return fmt.Errorf("%d tokens; the model takes 1 to %d (max_position_embeddings)", tokens, c.MaxPositions)
	case tokens > c.Longest():
		return fmt.Errorf("%d tokens; from %d on the model's sliding_window would bind, and windowed attention is not supported", tokens, c.SlidingWindow+1)
	}
	return nil
}

// DefaultAttentionFactor is LongRoPE's sqrt(1 + ln(max/original)/ln(original)).
func DefaultAttentionFactor(maxPositions, original int) float64 {
	if maxPositions <= original {
		return 1
	}
	scale := float64(maxPositions) / float64(original)
	return math.Sqrt(1 + math.Log(scale)/math.Log(float64(original)))
}

// maxLayers bounds what a damaged file can make us list; the largest models have about
// a hundred.
const maxLayers = 4096

// maxParameters bounds what sizes may multiply to, long before it overflows.
const maxParameters = 1e12

// roughly is the number of parameters of all matrices.
func (c *Config) roughly() float64 {
	hidden, attention := float64(c.Hidden), float64(c.Heads+c.KVHeads)*float64(c.HeadDim)
	return hidden * (float64(c.Vocab) + float64(c.Layers)*(2*attention+3*float64(c.Intermediate)))
}

// problems says everything that makes the numbers impossible together.
func (c *Config) problems() (out []string) {
	bad := func(format string, args ...any) { out = append(out, fmt.Sprintf(format, args...)) }
	for _, f := range []struct {
		name  string
		value int
	}{
		{"hidden_size", c.Hidden}, {"num_hidden_layers", c.Layers}, {"num_attention_heads", c.Heads},
		{"num_key_value_heads", c.KVHeads}, {"head_dim", c.HeadDim}, {"intermediate_size", c.Intermediate},
		{"vocab_size", c.Vocab}, {"max_position_embeddings", c.MaxPositions},
		{"original_max_position_embeddings", c.OriginalMaxPositions},
	} {
		if f.value <= 0 || f.value > math.MaxInt32 {
			bad("%s is %d; it must be between 1 and 2³¹", f.name, f.value)
		}
	}
	if c.Layers > maxLayers {
		bad("num_hidden_layers is %d; at most %d are supported", c.Layers, maxLayers)
	}
	if out != nil {
		return out // ratios below would divide by zero
	}
	if n := c.roughly(); n > maxParameters {
		bad("the sizes make a model of %.2g parameters; at most %.0g are supported", n, maxParameters)
		return out
	}
	if c.Heads%c.KVHeads != 0 {
		bad("num_attention_heads %d is not a multiple of num_key_value_heads %d", c.Heads, c.KVHeads)
	}
	if !(float32(c.RMSEps) > 0) || c.RMSEps > 1 {
		bad("rms_norm_eps is %v; it must be a small positive number", c.RMSEps)
	}
	if !(c.RopeTheta > 1) || math.IsInf(c.RopeTheta, 0) {
		bad("rope_theta is %v; it must be above 1", c.RopeTheta)
	}
	if !(c.PartialRotary > 0 && c.PartialRotary <= 1) {
		bad("partial_rotary_factor is %v; it must be above 0 and at most 1", c.PartialRotary)
	} else if c.RotaryDim() < 2 || c.RotaryDim()%2 != 0 {
		bad("head_dim %d × partial_rotary_factor %v = %d rotary channels; an even number is needed", c.HeadDim, c.PartialRotary, c.RotaryDim())
	}
	if c.SlidingWindow < 0 {
		bad("sliding_window is %d; it must be positive, or null", c.SlidingWindow)
	}
	return append(append(out, c.tokenProblems()...), c.ropeProblems()...)
}

// tokenProblems are special ids outside the vocabulary; -1 says that there is none.
func (c *Config) tokenProblems() (out []string) {
	check := func(key string, id int) {
		if id < -1 || id >= c.Vocab {
			out = append(out, fmt.Sprintf("%s %d is no token: vocab_size is %d", key, id, c.Vocab))
		}
	}
	check("bos_token_id", c.BOS)
	check("pad_token_id", c.Pad)
	for _, id := range c.EOS {
		check("eos_token_id", id)
	}
	return out
}

func (c *Config) ropeProblems() (out []string) {
	bad := func(format string, args ...any) { out = append(out, fmt.Sprintf(format, args...)) }
	if c.Rope == nil {
		return nil
	}
	if c.OriginalMaxPositions > c.MaxPositions {
		bad("original_max_position_embeddings %d is above max_position_embeddings %d", c.OriginalMaxPositions, c.MaxPositions)
	}
	if !(c.Rope.AttentionFactor > 0) || math.IsInf(c.Rope.AttentionFactor, 0) {
		bad("rope scaling's attention factor is %v; it must be positive", c.Rope.AttentionFactor)
	}
	for _, f := range []struct {
		name   string
		values []float64
	}{{"short_factor", c.Rope.Short}, {"long_factor", c.Rope.Long}} {
		if len(f.values) != c.RotaryDim()/2 {
			bad("rope scaling's %s has %d values; %d rotary channels need %d", f.name, len(f.values), c.RotaryDim(), c.RotaryDim()/2)
		}
		for i, v := range f.values {
			if !(v > 0) || math.IsInf(v, 0) {
				bad("rope scaling's %s[%d] is %v; factors are positive", f.name, i, v)
			}
		}
	}
	return out
}

// InitStd is the standard deviation of a fresh tensor.
func (c *Config) InitStd(t Tensor) float64 {
	if t.Role == RoleLinear && (t.Name == moduleName(t.Layer, O) || t.Name == moduleName(t.Layer, Down)) {
		return c.InitRange / math.Sqrt(float64(2*c.Layers))
	}
	return c.InitRange
}
