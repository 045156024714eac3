package ops

import (
	"github.com/nlpodyssey/spago/mat"

	"github.com/so8t/so8t/stages/internal/backend"
	"github.com/so8t/so8t/stages/internal/tensor"
)

// HeadCE is the language model's head and loss: scale * sum of -log p(target), a 1x1 tensor. targets has one entry a row of h, negative
// where the row does not count. scale comes from outside (1 over the targets of the whole accumulation window), so that the
// gradient does not depend on how the window is cut into micro-batches.
func HeadCE(h mat.Tensor, m Matrix, targets backend.Ints, scale float64) mat.Tensor {
	v := tensor.Of(h)
	operands := []mat.Tensor{h}
	place := m.operand(&operands)
	n := newNode(v, 1, 1, operands...)
	var gh *tensor.Tensor
	var gw backend.Buffer
	n.forward = func(y *tensor.Tensor) {
		args := backend.CrossEntropyArgs{Loss: y.Buffer(), H: v.Buffer(), W: m.W, Targets: targets, Scale: scale}
		if n.needs(0) {
			gh = v.Like(v.Rows(), v.Cols())
			args.GH = gh.Buffer()
		}
		if place >= 0 && n.needs(place) {
			gw = n.scratch(m.W.Rows() * m.W.Cols())
			args.GW = gw
		}
		n.be.CrossEntropy(args)
	}
	n.backward = func(gy *tensor.Tensor) {
		if gw != nil {
			n.giveParam(place, func(dst backend.Buffer, beta float64) { n.be.ScaleBy(dst, gw, gy.Buffer(), beta) })
			n.scope.Free(gw)
		}
		if gh != nil {
			n.be.ScaleBy(gh.Buffer(), gh.Buffer(), gy.Buffer(), 0)
		}
		tensor.Done(gy)
		if gh != nil {
			n.give(0, gh)
		}
	}
	return n.run()
}

// PET is the smoothness penalty on hidden states, a 1x1 tensor: scale * sum over triples of |d2|²/(6 v + 1e-8)/hidden. scale is
// lambda over the triples of the whole accumulation window.
func PET(h mat.Tensor, pk backend.Packing, scale float64) mat.Tensor {
	v := tensor.Of(h)
	n := newNode(v, 1, 1, h)
	var gh *tensor.Tensor
	n.forward = func(y *tensor.Tensor) {
		var g backend.Buffer
		if n.needs(0) {
			gh = v.Like(v.Rows(), v.Cols())
			g = gh.Buffer()
		}
		n.be.PET(y.Buffer(), g, v.Buffer(), v.Cols(), pk, scale)
	}
	n.backward = func(gy *tensor.Tensor) {
		if gh == nil {
			tensor.Done(gy)
			return
		}
		n.be.ScaleBy(gh.Buffer(), gh.Buffer(), gy.Buffer(), 0)
		tensor.Done(gy)
		n.give(0, gh)
	}
	return n.run()
}
