package phi3

import "math"

// InvFreq returns the rotary frequencies [RotaryDim/2] in float64:
// 1 / (factor_i · theta^(2i/RotaryDim)), with the long factors when long is set.
func (c *Config) InvFreq(long bool) []float64 {
	rotary := c.RotaryDim()
	out := make([]float64, rotary/2)
	for i := range out {
		f := 1.0
		if c.Rope != nil {
			f = c.Rope.Short[i]
			if long {
				f = c.Rope.Long[i]
			}
		}
		out[i] = 1 / (f * math.Pow(c.RopeTheta, float64(2*i)/float64(rotary)))
	}
	return out
}

// AttentionFactor multiplies cos and sin, whichever factors are in use.
func (c *Config) AttentionFactor() float64 {
	if c.Rope == nil {
		return 1
	}
	return c.Rope.AttentionFactor
}

// UsesLong reports whether a sequence of this length takes the long factors. The choice
// is made per sequence, so that a packed batch equals separate ones; transformers makes
// it once for a whole batch.
func (c *Config) UsesLong(length int) bool {
	return c.Rope != nil && length > c.OriginalMaxPositions
}

// ropeLayout says which row of a rotary table belongs to a position: those of short
// sequences come first, then, from row longBase on, those of long ones.
type ropeLayout struct{ longBase int }

// row for position p of a sequence that takes the long factors or not.
func (l ropeLayout) row(p int, long bool) int32 {
	if long {
		p += l.longBase
	}
	return int32(p)
}

// ropeTable is cos and sin [rows, RotaryDim/2], attention factor included.
type ropeTable struct {
	ropeLayout
	cos, sin []float64
	rotary   int
}

// newRopeTable covers sequences of up to maxLen tokens.
func (c *Config) newRopeTable(maxLen int) *ropeTable {
	short, long := maxLen, 0
	if c.UsesLong(maxLen) {
		short, long = c.OriginalMaxPositions, maxLen
	}
	t := &ropeTable{ropeLayout: ropeLayout{short}, rotary: c.RotaryDim()}
	size := (short + long) * t.rotary / 2
	t.cos, t.sin = make([]float64, 0, size), make([]float64, 0, size)
	t.append(c.InvFreq(false), short, c.AttentionFactor())
	t.append(c.InvFreq(true), long, c.AttentionFactor())
	return t
}

func (t *ropeTable) append(freq []float64, positions int, factor float64) {
	for p := range positions {
		for _, f := range freq {
			sin, cos := math.Sincos(float64(p) * f)
			t.cos = append(t.cos, cos*factor)
			t.sin = append(t.sin, sin*factor)
		}
	}
}
