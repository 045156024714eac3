// Package ops holds the operators of training: spago builds and runs the graph, the arithmetic is the backend's.
//
// Every operator is an ag.AutoGradFunction run synchronously. Three rules of spago's scheduler shape this file: AccGrad is called exactly
// once for each operand that requires a gradient (never: deadlock; twice: the producer runs on half a gradient); the input x comes last,
// because that releases x's producer, which runs concurrently from then on; and neither an error nor a panic may reach spago, which would end the
// process. So failures are latched in the backend, and a failed operator still hands on (meaningless) gradients for the graph to finish.
package ops

import (
	"fmt"

	"github.com/nlpodyssey/spago/ag"
	"github.com/nlpodyssey/spago/mat"

	"github.com/so8t/so8t/stages/internal/backend"
	"github.com/so8t/so8t/stages/internal/tensor"
)

// node is one operator: two closures and the bookkeeping of the rules above.
type node struct {
	be         backend.Backend
	scope      backend.Scope
	rows, cols int // of the result
	operands   []mat.Tensor
	given      []bool // operands whose gradient has been handed on
	forward    func(y *tensor.Tensor)
	backward   func(gy *tensor.Tensor)
}

var _ ag.AutoGradFunction = (*node)(nil)

// newNode prepares an operator whose result lies beside its first operand.
func newNode(x *tensor.Tensor, rows, cols int, operands ...mat.Tensor) *node {
	return &node{be: x.Backend(), scope: x.Scope(), rows: rows, cols: cols, operands: operands}
}

func (n *node) run() mat.Tensor { return ag.NewOperator(n).Run() }

// Operands is part of ag.AutoGradFunction.
func (n *node) Operands() []mat.Tensor { return n.operands }

// Forward is part of ag.AutoGradFunction.
func (n *node) Forward() (mat.Tensor, error) {
	y := tensor.New(n.be, n.scope, n.rows, n.cols)
	n.guard("forward", func() { n.forward(y) })
	return y, nil
}

// Backward is part of ag.AutoGradFunction.
func (n *node) Backward(gy mat.Tensor) error {
	n.given = make([]bool, len(n.operands))
	n.guard("backward", func() { n.backward(tensor.Of(gy)) })
	for i := len(n.operands) - 1; i >= 0; i-- {
		if x := n.operands[i]; !n.given[i] && x.RequiresGrad() {
			if _, waits := x.(*ag.Operator); waits {
				v := tensor.Of(x)
				n.give(i, v.Like(v.Rows(), v.Cols()))
			}
		}
	}
	return nil
}

func (n *node) guard(pass string, f func()) {
	defer func() {
		if r := recover(); r != nil {
			n.be.Fail(fmt.Errorf("%s pass of a %dx%d operator: %v", pass, n.rows, n.cols, r))
		}
	}()
	f()
}

// needs reports whether operand i wants a gradient.
func (n *node) needs(i int) bool { return n.operands[i].RequiresGrad() }

// give hands operand i its gradient.
func (n *node) give(i int, g *tensor.Tensor) {
	n.given[i] = true
	n.operands[i].AccGrad(g)
}

// giveParam lets add compute a parameter's gradient in place. It does nothing for an operand that is not trained.
func (n *node) giveParam(i int, add func(dst backend.Buffer, beta float64)) {
	if n.needs(i) {
		n.given[i] = true
		tensor.Of(n.operands[i]).Accumulate(add)
	}
}

// scratch allocates in the operator's scope.
func (n *node) scratch(size int) backend.Buffer { return n.scope.Alloc(size) }

func (n *node) fail(format string, args ...any) { n.be.Fail(fmt.Errorf(format, args...)) }
