package ops

import (
	"github.com/nlpodyssey/spago/mat"

	"github.com/so8t/so8t/stages/internal/backend"
	"github.com/so8t/so8t/stages/internal/tensor"
)

// Matrix is a weight that is either frozen (in any storage, unknown to spago) or a trained parameter.
type Matrix struct {
	W     backend.Weight
	param tensor.Param
}

// Frozen is a weight without gradient.
func Frozen(w backend.Weight) Matrix { return Matrix{W: w} }

// Trained is a parameter used as a weight.
func Trained(p tensor.Param) Matrix {
	t := p.Tensor()
	return Matrix{W: t.Backend().WeightOf(t.Buffer(), t.Rows(), t.Cols()), param: p}
}

// operand appends the parameter, when there is one, and returns its place, else -1.
func (m Matrix) operand(operands *[]mat.Tensor) int {
	if m.param.Param == nil {
		return -1
	}
	*operands = append(*operands, m.param.Param)
	return len(*operands) - 1
}

// LoRA is the low-rank addition to a linear layer: y += Scale (dropout(x) Aᵀ) Bᵀ.
type LoRA struct {
	A, B  tensor.Param // [r, in] and [out, r]
	Scale float64      // alpha / r
	// Dropout is the probability of losing an input channel; 0 when evaluating. Key is a hash of (seed, step, layer, target).
	Dropout float64
	Key     uint64
}

// Linear is y = x Wᵀ, plus the LoRA term when lora is not nil. pk is only read by dropout.
func Linear(x mat.Tensor, m Matrix, lora *LoRA, pk backend.Packing) mat.Tensor {
	l := &linear{w: m.W, lora: lora, pk: pk, x: tensor.Of(x)}
	operands := []mat.Tensor{x}
	l.weight = m.operand(&operands)
	if lora != nil {
		l.rank = lora.A.Tensor().Rows()
		l.a = len(operands)
		operands = append(operands, lora.A.Param, lora.B.Param)
	}
	l.node = newNode(l.x, l.x.Rows(), m.W.Rows(), operands...)
	l.node.forward, l.node.backward = l.forward, l.backward
	if l.x.Cols() != m.W.Cols() {
		l.fail("multiplying: input has %d columns, the weight %d", l.x.Cols(), m.W.Cols())
	}
	return l.run()
}

type linear struct {
	*node
	x         *tensor.Tensor
	w         backend.Weight
	lora      *LoRA
	pk        backend.Packing
	weight, a int            // places of the operands W and A (B follows A); weight is -1 when frozen
	rank      int            // of the LoRA term
	xa        backend.Buffer // saved: dropout(x) Aᵀ
	xd        backend.Buffer // saved: dropout(x), nil when that is x
}

func (l *linear) forward(y *tensor.Tensor) {
	rows, in, out := l.rows, l.w.Cols(), l.w.Rows()
	l.be.Linear(y.Buffer(), l.x.Buffer(), l.w, rows, 0)
	if l.lora == nil {
		return
	}
	xd := l.x.Buffer()
	if l.lora.Dropout > 0 {
		l.xd = l.scratch(rows * in)
		l.be.Dropout(l.xd, xd, in, l.pk, l.lora.Key, l.lora.Dropout, 0)
		xd = l.xd
	}
	l.xa = l.scratch(rows * l.rank)
	l.be.Gemm(false, true, rows, l.rank, in, 1, dense(xd, in), dense(l.lora.A.Tensor().Buffer(), in), 0, dense(l.xa, l.rank))
	l.be.Gemm(false, true, rows, out, l.rank, l.lora.Scale, dense(l.xa, l.rank), dense(l.lora.B.Tensor().Buffer(), l.rank), 1, dense(y.Buffer(), out))
}

func (l *linear) backward(gy *tensor.Tensor) {
	rows, in, out := l.rows, l.w.Cols(), l.w.Rows()
	g := gy.Buffer()
	if l.weight >= 0 {
		l.giveParam(l.weight, func(dst backend.Buffer, beta float64) {
			l.be.Gemm(true, false, out, in, rows, 1, dense(g, out), dense(l.x.Buffer(), in), beta, dense(dst, in))
		})
	}
	var gxa backend.Buffer
	if l.lora != nil {
		gxa = l.loraBackward(g)
	}
	if !l.needs(0) {
		tensor.Done(gy)
		return
	}
	gx := l.x.Like(rows, in)
	l.be.LinearBack(gx.Buffer(), g, l.w, rows, 0)
	tensor.Done(gy)
	if gxa != nil {
		a := dense(l.lora.A.Tensor().Buffer(), in)
		if l.xd == nil {
			l.be.Gemm(false, false, rows, in, l.rank, 1, dense(gxa, l.rank), a, 1, dense(gx.Buffer(), in))
		} else {
			// The saved dropout(x) is not needed any more: its memory takes the gradient behind the mask.
			l.be.Gemm(false, false, rows, in, l.rank, 1, dense(gxa, l.rank), a, 0, dense(l.xd, in))
			l.be.Dropout(gx.Buffer(), l.xd, in, l.pk, l.lora.Key, l.lora.Dropout, 1)
			l.scope.Free(l.xd)
		}
		l.scope.Free(gxa)
	}
	l.give(0, gx)
}

// loraBackward accumulates the gradients of A and B and returns that of dropout(x) Aᵀ.
func (l *linear) loraBackward(g backend.Buffer) backend.Buffer {
	rows, in, out, r := l.rows, l.w.Cols(), l.w.Rows(), l.rank
	xd := l.x.Buffer()
	if l.xd != nil {
		xd = l.xd
	}
	gxa := l.scratch(rows * r)
	l.be.Gemm(false, false, rows, r, out, l.lora.Scale, dense(g, out), dense(l.lora.B.Tensor().Buffer(), r), 0, dense(gxa, r))
	l.giveParam(l.a+1, func(dst backend.Buffer, beta float64) {
		l.be.Gemm(true, false, out, r, rows, l.lora.Scale, dense(g, out), dense(l.xa, r), beta, dense(dst, r))
	})
	l.giveParam(l.a, func(dst backend.Buffer, beta float64) {
		l.be.Gemm(true, false, r, in, rows, 1, dense(gxa, r), dense(xd, in), beta, dense(dst, in))
	})
	return gxa
}

// dense is a whole buffer as a matrix of rows of ld numbers.
func dense(b backend.Buffer, ld int) backend.Mat { return backend.Mat{Buf: b, LD: ld} }
