package backend

// Elementwise holds the plain vector operations. Buffers may be the same where the formula is elementwise.
type Elementwise interface {
	Fill(dst Buffer, v float64)
	// Axpby is dst = alpha x + beta y; y may be nil.
	Axpby(dst Buffer, alpha float64, x Buffer, beta float64, y Buffer)
	// ScaleBy is dst = s[0] x + beta dst, with the factor on the device.
	ScaleBy(dst, x, s Buffer, beta float64)
	// Copy2D copies rows x cols between matrices that may have other row lengths.
	Copy2D(dst, src Mat, rows, cols int)
	// Dropout is dst = mask(x)/(1-p) x + beta dst on [rows, cols]. The bit of a channel is a hash of (key, segment ID, row within
	// the segment, channel) and nothing else, so it repeats in any packing.
	Dropout(dst, x Buffer, cols int, pk Packing, key uint64, p, beta float64)
}

// Embedding looks rows up.
type Embedding interface {
	// Embed is dst[i,:] = w[ids[i],:].
	Embed(dst Buffer, w Weight, ids Ints)
	// EmbedBack is ge[ids[i],:] += g[i,:], added in the order of i.
	EmbedBack(ge Buffer, g Buffer, ids Ints, cols int)
}

// Norm is RMSNorm over rows: y = x / sqrt(mean(x²) + eps) * gain.
type Norm interface {
	// RMSNorm writes y and inv[rows] = 1/sqrt(mean(x²)+eps).
	RMSNorm(y, inv, x, gain Buffer, rows, cols int, eps float64)
	// RMSNormBack writes gx = ∂ + beta gx and, when ggain is not nil, ggain = ∂ + gbeta ggain.
	RMSNormBack(gx, ggain, gy, x, gain, inv Buffer, rows, cols int, beta, gbeta float64)
}

// AttentionShape describes a fused qkv row: Heads query heads, then KVHeads key heads, then KVHeads value heads, of Dim each.
// Query head h reads key head h / (Heads/KVHeads).
type AttentionShape struct {
	Heads, KVHeads, Dim int
	// Window limits how far back a row looks (0: without limit): row t sees rows (t-Window, t].
	Window int
	// Scale multiplies the scores; 0 means 1/sqrt(Dim).
	Scale float64
}

// Width of a fused qkv row.
func (s AttentionShape) Width() int { return (s.Heads + 2*s.KVHeads) * s.Dim }

// RopeTable holds cos and sin [positions, Rotary/2] with the attention factor multiplied in. Dimension i < Rotary/2 of a head pairs with
// i + Rotary/2 (rotate-half); dimensions from Rotary on are left alone.
type RopeTable struct {
	Cos, Sin Buffer
	Rotary   int
}

// Attention is causal attention inside segments, with grouped queries.
type Attention interface {
	// Rope turns the query and key heads of src[rows, Width] into dst (dst may be src) and copies the value heads; inverse turns back: it
	// is the gradient, the transpose of the map (not its inverse when the table holds a factor).
	Rope(dst, src Buffer, s AttentionShape, t RopeTable, pk Packing, inverse bool)
	// Attention writes out[rows, Heads*Dim] and lse[rows, Heads], the log-sum-exp of the scaled scores, from rotated qkv.
	Attention(out, lse, qkv Buffer, s AttentionShape, pk Packing)
	// AttentionBack writes gqkv, the gradient with respect to the rotated qkv. Padding rows get zeros.
	AttentionBack(gqkv, gout, out, lse, qkv Buffer, s AttentionShape, pk Packing)
	// CachedAttention is for decoding: n new rows of q [n, ldq] at positions past … past+n-1 over keys and values [capacity, KVHeads*Dim],
	// whose first past+n rows are filled.
	CachedAttention(out Buffer, q Mat, keys, values Buffer, s AttentionShape, n, past int)
}

// Activation is SwiGLU on a fused row [gate | up]: y = silu(gate) * up.
type Activation interface {
	// SwiGLU reads gu[rows, 2 width] and writes y[rows, width].
	SwiGLU(y, gu Buffer, rows, width int)
	SwiGLUBack(ggu, gy, gu Buffer, rows, width int)
}

// Rotation is the SO8T gate: y = x · blockdiag(R), R = (I - A/2)⁻¹(I + A/2) per block of 8, A skew from 28 parameters.
type Rotation interface {
	// Cayley writes r[blocks, 8, 8] from theta[blocks, 28] (upper triangle, row by row); zeros give the identity exactly.
	Cayley(r, theta Buffer, blocks int)
	// CayleyBack is gtheta = ∂ + beta gtheta, from gr = ∂loss/∂R.
	CayleyBack(gtheta, gr, theta, r Buffer, blocks int, beta float64)
	// Rotate is y[rows, 8 blocks] = x·blockdiag(R), or x·blockdiag(Rᵀ) when inverse.
	Rotate(y, x, r Buffer, rows, blocks int, inverse bool)
	// RotateGrad writes gr[blocks, 8, 8] = sum over rows of xᵀ gy per block.
	RotateGrad(gr, x, gy Buffer, rows, blocks int)
}

// Loss holds the two terms of the objective.
type Loss interface {
	CrossEntropy(CrossEntropyArgs)
	// PET writes value[0] = scale * sum over triples of |d2|²/(6 v + 1e-8)/cols, with v the segment's own mean square taken as a constant,
	// and, when gh is not nil, its gradient. scale is lambda over the window's triples.
	PET(value, gh, h Buffer, cols int, pk Packing, scale float64)
}

// CrossEntropyArgs is the language model's head and loss in one, computed in chunks of rows: the full [rows, vocabulary] never exists.
type CrossEntropyArgs struct {
	// Loss[0] = Scale * sum of -log p(target) over rows with target >= 0.
	Loss Buffer
	// NLL, when not nil, gets -log p(target) of every row, 0 where there is no target.
	NLL Buffer
	// GH, when not nil, gets the gradient of Loss[0] with respect to H, zero on rows without target.
	GH Buffer
	// GW, when not nil, gets the gradient with respect to the head: GW = ∂ + GWBeta GW.
	GW     Buffer
	GWBeta float64
	H      Buffer // [rows, W.Cols]
	W      Weight // [vocabulary, hidden]
	// Targets[rows]: the next token, negative for rows that do not count.
	Targets Ints
	Scale   float64
}

// AdamWArgs is one update as in PyTorch: p *= 1-LR*Decay, then p -= LR/c1 * m/(sqrt(v)/sqrt(c2) + Eps).
type AdamWArgs struct {
	P, G, M, V                   Buffer
	LR, Beta1, Beta2, Eps, Decay float64
	// Step counts from 1.
	Step int
	// GradScale multiplies G first: the clipping factor.
	GradScale float64
}

// Optimizer holds what an optimiser's step needs on the device.
type Optimizer interface {
	// SumSquares adds the sum of squares of x to acc[0] (float64 inside).
	SumSquares(acc, x Buffer)
	AdamW(AdamWArgs)
}
