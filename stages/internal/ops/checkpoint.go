package ops

import (
	"github.com/nlpodyssey/spago/ag"
	"github.com/nlpodyssey/spago/mat"

	"github.com/so8t/so8t/stages/internal/backend"
	"github.com/so8t/so8t/stages/internal/tensor"
)

// Checkpoint computes f(x) without keeping what happened inside, and computes it again in the backward pass. cols is the length of a row of
// the result. params must list every parameter that f uses: that is how spago learns that gradients are wanted.
func Checkpoint(f func(mat.Tensor) mat.Tensor, x mat.Tensor, cols int, params tensor.Params) mat.Tensor {
	v := tensor.Of(x)
	operands := []mat.Tensor{x}
	for _, p := range params {
		operands = append(operands, p.Param)
	}
	n := newNode(v, v.Rows(), cols, operands...)
	leaf := func(inner backend.Scope) *tensor.Tensor {
		l := tensor.Wrap(n.be, inner, v.Buffer(), v.Rows(), v.Cols())
		l.SetRequiresGrad(n.needs(0))
		return l
	}
	n.forward = func(y *tensor.Tensor) {
		inner := n.be.NewScope()
		defer inner.End()
		n.be.Axpby(y.Buffer(), 1, tensor.Of(f(leaf(inner))).Buffer(), 0, nil)
	}
	n.backward = func(gy *tensor.Tensor) {
		inner := n.be.NewScope()
		defer inner.End()
		l := leaf(inner)
		y := f(l)
		y.AccGrad(gy)
		if err := ag.Backward(y); err != nil {
			n.be.Fail(err)
			return
		}
		if !n.needs(0) {
			tensor.Done(gy)
			return
		}
		gx := v.Like(v.Rows(), v.Cols())
		n.be.Axpby(gx.Buffer(), 1, tensor.Of(l.Grad()).Buffer(), 0, nil)
		tensor.Done(gy)
		n.give(0, gx)
	}
	return n.run()
}
