package cpu

import (
	"os"

	"github.com/so8t/so8t/stages/internal/backend"
)

// OpenDry makes a backend that computes nothing and holds nothing, but counts the memory that the float32 backend would take for the same
// calls, its scratch included. A plan is a training step on it: the numbers are those of the code that allocates. Weights need no data.
func OpenDry() backend.Backend {
	m := newMachine[float32](1)
	m.mem.dry = true
	_, _ = nativeKernels(&m.k, os.Getenv("SO8T_KERNELS")) // which there are decides what scratch is needed
	m.info = backend.Info{Name: "cpu-dry", Device: "none", BLAS: "none", Threads: 1, Bits: 32}
	return m
}

// dryBlock counts the scratch of a product with a stored weight.
func (m *machine[T]) dryBlock(w *weight[T], rows int) {
	if m.mem.dry && w.kind != backend.Float32 && !m.packs(w, rows) {
		m.mem.give(m.takeBlock(w))
	}
}

// dryCrossEntropy counts that of the loss.
func (m *machine[T]) dryCrossEntropy(a backend.CrossEntropyArgs) {
	if !m.mem.dry {
		return
	}
	rows := 0
	for _, t := range a.Targets.(*ints).data {
		if t >= 0 {
			rows++
		}
	}
	c := &crossEntropy[T]{m: m, w: asWeight[T](a.W)}
	c.allocate(rows)
	m.dryBlock(c.w, rows)
	c.release()
}
