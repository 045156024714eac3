package tensor

import (
	"context"

	"github.com/nlpodyssey/spago/nn"

	"github.com/so8t/so8t/stages/internal/backend"
)

// Param is a trainable matrix with its name in files and in the optimiser's groups.
type Param struct {
	*nn.Param
	Name string
}

// Params is an ordered list: the order is the order of every traversal, so that sums and files come out the same each time.
type Params []Param

// NewParam makes a parameter from host numbers (nil: zeros). Value and gradient live until ReleaseParam.
func NewParam(be backend.Backend, name string, rows, cols int, init []float32) Param {
	t := &Tensor{be: be, buf: be.NewBuffer(rows * cols), rows: rows, cols: cols}
	if init != nil {
		be.Upload(t.buf, init)
	}
	t.persistent = &Tensor{be: be, buf: be.NewBuffer(rows * cols), rows: rows, cols: cols}
	t.SetRequiresGrad(true)
	return Param{Param: &nn.Param{Matrix: t}, Name: name}
}

// Tensor is the parameter's value.
func (p Param) Tensor() *Tensor { return Of(p.Param.Matrix) }

// GradBuffer is the parameter's gradient memory, valid when HasGrad.
func (p Param) GradBuffer() backend.Buffer { return p.Tensor().persistent.buf }

// ReleaseParam gives the memory back.
func ReleaseParam(p Param) {
	t := p.Tensor()
	t.be.Release(t.buf)
	t.be.Release(t.persistent.buf)
}

// WithGrad is the sub-list that has gradients.
func (ps Params) WithGrad() Params {
	var out Params
	for _, p := range ps {
		if p.HasGrad() {
			out = append(out, p)
		}
	}
	return out
}

// ZeroGrad forgets all gradients.
func (ps Params) ZeroGrad() {
	for _, p := range ps {
		p.Param.ZeroGrad()
	}
}

// Stream hands the parameters to spago's optimizers.New in order.
func (ps Params) Stream(ctx context.Context) <-chan *nn.Param {
	ch := make(chan *nn.Param)
	go func() {
		defer close(ch)
		for _, p := range ps {
			select {
			case ch <- p.Param:
			case <-ctx.Done():
				return
			}
		}
	}()
	return ch
}
