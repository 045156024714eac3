package ops

import (
	"github.com/nlpodyssey/spago/mat"

	"github.com/so8t/so8t/stages/internal/backend"
	"github.com/so8t/so8t/stages/internal/tensor"
)

// Embed looks token ids up in a table [vocabulary, hidden]. The result lies in scope.
func Embed(be backend.Backend, scope backend.Scope, ids backend.Ints, m Matrix) mat.Tensor {
	var operands []mat.Tensor
	place := m.operand(&operands)
	n := &node{be: be, scope: scope, rows: ids.Len(), cols: m.W.Cols(), operands: operands}
	n.forward = func(y *tensor.Tensor) { be.Embed(y.Buffer(), m.W, ids) }
	n.backward = func(gy *tensor.Tensor) {
		if place >= 0 {
			n.giveParam(place, func(dst backend.Buffer, beta float64) {
				if beta == 0 {
					be.Fill(dst, 0)
				}
				be.EmbedBack(dst, gy.Buffer(), ids, n.cols)
			})
		}
		tensor.Done(gy)
	}
	return n.run()
}

// RMSNorm normalises rows and multiplies by gain, a vector: FrozenGain or TrainedGain.
func RMSNorm(x mat.Tensor, gain Gain, eps float64) mat.Tensor {
	v := tensor.Of(x)
	operands := []mat.Tensor{x}
	trained := gain.param.Param != nil
	if trained {
		operands = append(operands, gain.param.Param)
	}
	n := newNode(v, v.Rows(), v.Cols(), operands...)
	inv := n.scratch(v.Rows())
	n.forward = func(y *tensor.Tensor) {
		n.be.RMSNorm(y.Buffer(), inv, v.Buffer(), gain.buf, v.Rows(), v.Cols(), eps)
	}
	n.backward = func(gy *tensor.Tensor) {
		gx := v.Like(v.Rows(), v.Cols())
		if trained && n.needs(1) {
			n.giveParam(1, func(dst backend.Buffer, beta float64) {
				n.be.RMSNormBack(gx.Buffer(), dst, gy.Buffer(), v.Buffer(), gain.buf, inv, v.Rows(), v.Cols(), 0, beta)
			})
		} else {
			n.be.RMSNormBack(gx.Buffer(), nil, gy.Buffer(), v.Buffer(), gain.buf, inv, v.Rows(), v.Cols(), 0, 0)
		}
		tensor.Done(gy)
		if n.needs(0) {
			n.give(0, gx)
		}
	}
	return n.run()
}

// Gain is RMSNorm's vector, frozen or trained.
type Gain struct {
	buf   backend.Buffer
	param tensor.Param
}

// FrozenGain is a gain without gradient.
func FrozenGain(b backend.Buffer) Gain { return Gain{buf: b} }

// TrainedGain is a [1, hidden] parameter.
func TrainedGain(p tensor.Param) Gain { return Gain{buf: p.Tensor().Buffer(), param: p} }

// Attention turns fused qkv rows by RoPE and attends inside the segments of pk. The result is [rows, Heads*Dim].
func Attention(qkv mat.Tensor, s backend.AttentionShape, rope backend.RopeTable, pk backend.Packing) mat.Tensor {
	v := tensor.Of(qkv)
	n := newNode(v, v.Rows(), s.Heads*s.Dim, qkv)
	var turned, lse, out backend.Buffer
	n.forward = func(y *tensor.Tensor) {
		out = y.Buffer()
		turned, lse = n.scratch(v.Size()), n.scratch(v.Rows()*s.Heads)
		n.be.Rope(turned, v.Buffer(), s, rope, pk, false)
		n.be.Attention(out, lse, turned, s, pk)
	}
	n.backward = func(gy *tensor.Tensor) {
		g := v.Like(v.Rows(), v.Cols())
		n.be.AttentionBack(g.Buffer(), gy.Buffer(), out, lse, turned, s, pk)
		n.be.Rope(g.Buffer(), g.Buffer(), s, rope, pk, true)
		n.scope.Free(turned)
		n.scope.Free(lse)
		tensor.Done(gy)
		if n.needs(0) {
			n.give(0, g)
		}
	}
	return n.run()
}

// SwiGLU is silu(gate)*up of fused rows [gate | up].
func SwiGLU(x mat.Tensor) mat.Tensor {
	v := tensor.Of(x)
	n := newNode(v, v.Rows(), v.Cols()/2, x)
	n.forward = func(y *tensor.Tensor) { n.be.SwiGLU(y.Buffer(), v.Buffer(), n.rows, n.cols) }
	n.backward = func(gy *tensor.Tensor) {
		gx := v.Like(v.Rows(), v.Cols())
		n.be.SwiGLUBack(gx.Buffer(), gy.Buffer(), v.Buffer(), n.rows, n.cols)
		tensor.Done(gy)
		if n.needs(0) {
			n.give(0, gx)
		}
	}
	return n.run()
}

// Add is x + y, the residual connection.
func Add(x, y mat.Tensor) mat.Tensor {
	a, b := tensor.Of(x), tensor.Of(y)
	n := newNode(a, a.Rows(), a.Cols(), x, y)
	n.forward = func(z *tensor.Tensor) { n.be.Axpby(z.Buffer(), 1, a.Buffer(), 1, b.Buffer()) }
	n.backward = func(gy *tensor.Tensor) {
		for i := 1; i >= 0; i-- {
			if n.needs(i) {
				n.give(i, gy) // by reference: both sides share it
			}
		}
		tensor.Done(gy)
	}
	return n.run()
}

// Gate is the SO8T rotation y = x·blockdiag(R(theta)), theta [hidden/8, 28].
func Gate(x mat.Tensor, theta tensor.Param) mat.Tensor {
	v, th := tensor.Of(x), theta.Tensor()
	blocks := th.Rows()
	n := newNode(v, v.Rows(), v.Cols(), x, theta.Param)
	if th.Cols() != 28 || 8*blocks != v.Cols() {
		n.fail("gating %d columns: theta is %dx%d", v.Cols(), th.Rows(), th.Cols())
	}
	r := n.scratch(blocks * 64)
	n.forward = func(y *tensor.Tensor) {
		n.be.Cayley(r, th.Buffer(), blocks)
		n.be.Rotate(y.Buffer(), v.Buffer(), r, v.Rows(), blocks, false)
	}
	n.backward = func(gy *tensor.Tensor) {
		n.giveParam(1, func(dst backend.Buffer, beta float64) {
			gr := n.scratch(blocks * 64)
			n.be.RotateGrad(gr, v.Buffer(), gy.Buffer(), v.Rows(), blocks)
			n.be.CayleyBack(dst, gr, th.Buffer(), r, blocks, beta)
			n.scope.Free(gr)
		})
		if !n.needs(0) {
			tensor.Done(gy)
			return
		}
		gx := v.Like(v.Rows(), v.Cols())
		n.be.Rotate(gx.Buffer(), gy.Buffer(), r, v.Rows(), blocks, true)
		tensor.Done(gy)
		n.give(0, gx)
	}
	return n.run()
}
