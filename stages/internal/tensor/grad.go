package tensor

import (
	"fmt"

	"github.com/nlpodyssey/spago/mat"

	"github.com/so8t/so8t/stages/internal/backend"
)

// RequiresGrad reports whether gradients should reach this tensor.
func (t *Tensor) RequiresGrad() bool { return t.requiresGrad.Load() }

// SetRequiresGrad is called by spago on every operator's value.
func (t *Tensor) SetRequiresGrad(v bool) { t.requiresGrad.Store(v) }

// Grad is an untyped nil when there is none.
func (t *Tensor) Grad() mat.Tensor {
	t.mu.Lock()
	defer t.mu.Unlock()
	if t.grad == nil {
		return nil
	}
	return t.grad
}

// HasGrad reports whether a gradient has arrived.
func (t *Tensor) HasGrad() bool {
	t.mu.Lock()
	defer t.mu.Unlock()
	return t.grad != nil
}

// ZeroGrad forgets the gradient. A parameter keeps its memory.
func (t *Tensor) ZeroGrad() {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.grad = nil
}

// AccGrad adds gx. The first gradient is kept by reference; the second is added in place when nobody else holds the first, else into a
// new buffer. Two contributions commute, so the bits do not depend on which comes first; operators keep it at two.
func (t *Tensor) AccGrad(gx mat.Tensor) {
	g := Of(gx)
	if g.rows != t.rows || g.cols != t.cols {
		t.be.Fail(fmt.Errorf("adding a gradient: %dx%d does not fit %dx%d", g.rows, g.cols, t.rows, t.cols))
		return
	}
	if t.persistent != nil {
		t.Accumulate(func(dst backend.Buffer, beta float64) { t.be.Axpby(dst, 1, g.buf, beta, dst) })
		return
	}
	t.mu.Lock()
	defer t.mu.Unlock()
	if t.grad == nil {
		g.users.Add(1)
		t.grad = g
		return
	}
	if t.grad.users.Load() == 1 {
		t.be.Axpby(t.grad.buf, 1, t.grad.buf, 1, g.buf)
		return
	}
	sum := t.Like(t.rows, t.cols)
	sum.users.Store(1)
	t.be.Axpby(sum.buf, 1, t.grad.buf, 1, g.buf)
	t.grad.users.Add(-1)
	t.grad = sum
}

// Accumulate lets an operator add to a parameter's gradient without a temporary: add must compute dst = ∂ + beta dst. beta is 0 for the first
// contribution since ZeroGrad (dst holds rubbish then), 1 later.
func (t *Tensor) Accumulate(add func(dst backend.Buffer, beta float64)) {
	t.mu.Lock()
	defer t.mu.Unlock()
	if t.persistent == nil {
		t.be.Fail(fmt.Errorf("adding a gradient: %dx%d tensor is not a parameter", t.rows, t.cols))
		return
	}
	beta := 1.0
	if t.grad == nil {
		beta = 0
		t.grad = t.persistent
	}
	add(t.persistent.buf, beta)
}

// Done gives back a gradient that an operator has consumed: called at the end of Backward, before the last AccGrad. The memory is
// freed when no other gradient slot refers to it.
func Done(gy mat.Tensor) {
	g := Of(gy)
	if g.persistent == nil && g.scope != nil && g.users.Add(-1) == 0 {
		g.scope.Free(g.buf)
	}
}
