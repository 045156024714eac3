// Package tensor puts a backend's buffers inside spago's graph: Tensor is a mat.Matrix whose numbers stay on the device.
//
// spago itself calls about a dozen methods of a value (gradients, shape, Item); those are here. Arithmetic belongs to the operators in
// stages/internal/ops; every other method of mat.Matrix panics with its name, because silently computing on the host is worse.
package tensor

import (
	"fmt"
	"sync"
	"sync/atomic"

	"github.com/nlpodyssey/spago/mat"
	"github.com/nlpodyssey/spago/mat/float"

	"github.com/so8t/so8t/stages/internal/backend"
)

//go:generate go run ./gen

// Tensor is a matrix [rows, cols] on a backend. Rows are tokens.
type Tensor struct {
	Unsupported
	be         backend.Backend
	scope      backend.Scope // where results computed from this tensor go; nil for parameters
	buf        backend.Buffer
	rows, cols int

	requiresGrad atomic.Bool
	users        atomic.Int32 // gradient slots that hold this tensor by reference

	mu   sync.Mutex
	grad *Tensor // guarded by mu
	// Parameters only: the gradient's memory outlives the step.
	persistent *Tensor
}

var _ mat.Matrix = (*Tensor)(nil)

// New allocates a tensor with undefined contents in the scope.
func New(be backend.Backend, sc backend.Scope, rows, cols int) *Tensor {
	return Wrap(be, sc, sc.Alloc(rows*cols), rows, cols)
}

// Wrap makes a tensor of an existing buffer.
func Wrap(be backend.Backend, sc backend.Scope, buf backend.Buffer, rows, cols int) *Tensor {
	return &Tensor{be: be, scope: sc, buf: buf, rows: rows, cols: cols}
}

// Of is the tensor behind any node of the graph: an operator's value, a parameter, or the tensor itself.
func Of(t mat.Tensor) *Tensor {
	v, ok := t.Value().(*Tensor)
	if !ok {
		panic(fmt.Sprintf("tensor: %T is not a backend tensor", t.Value()))
	}
	return v
}

// Like allocates a tensor in the same scope.
func (t *Tensor) Like(rows, cols int) *Tensor { return New(t.be, t.scope, rows, cols) }

// Buffer is the device memory.
func (t *Tensor) Buffer() backend.Buffer { return t.buf }

// Backend is where the tensor lives.
func (t *Tensor) Backend() backend.Backend { return t.be }

// Scope is where results computed from the tensor are allocated.
func (t *Tensor) Scope() backend.Scope { return t.scope }

// Rows is the number of tokens.
func (t *Tensor) Rows() int { return t.rows }

// Cols is the length of a row.
func (t *Tensor) Cols() int { return t.cols }

// Value is the tensor itself.
func (t *Tensor) Value() mat.Tensor { return t }

// Shape is a fresh slice: spago's own values alias theirs, which is how shapes get corrupted there.
func (t *Tensor) Shape() []int { return []int{t.rows, t.cols} }

// Dims is always 2.
func (t *Tensor) Dims() int { return 2 }

// Size is the number of elements.
func (t *Tensor) Size() int { return t.rows * t.cols }

// Data downloads the tensor.
func (t *Tensor) Data() float.Slice {
	if t.be.Info().Bits == 64 {
		h := make([]float64, t.Size())
		t.be.Download64(h, t.buf)
		return float.Make(h...)
	}
	h := make([]float32, t.Size())
	t.be.Download(h, t.buf)
	return float.Make(h...)
}

// Item downloads a scalar.
func (t *Tensor) Item() float.Float {
	if t.Size() != 1 {
		panic(fmt.Sprintf("tensor: Item of a %dx%d tensor", t.rows, t.cols))
	}
	var h [1]float64
	t.be.Download64(h[:], t.buf)
	return float.Interface(h[0])
}

// NewScalar makes a 1x1 tensor in the same scope; spago calls it for the gradient of the loss.
func (t *Tensor) NewScalar(v float64, _ ...mat.OptionsFunc) mat.Matrix {
	s := t.Like(1, 1)
	t.be.Fill(s.buf, v)
	return s
}
