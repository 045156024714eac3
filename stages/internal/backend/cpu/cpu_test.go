package cpu_test

import (
	"testing"

	"github.com/so8t/so8t/stages/internal/backend"
	"github.com/so8t/so8t/stages/internal/backend/backendtest"
	"github.com/so8t/so8t/stages/internal/backend/cpu"
)

// float32Limit is the allowed difference to the float64 reference, of the largest number of a result: float32 rounds to 6e-8, the longest sums have about a
// thousand terms, and the gate's map at size 30 multiplies that by its steepness.
const float32Limit = 2e-5

func open(o cpu.Options) func(testing.TB) backend.Backend {
	return func(t testing.TB) backend.Backend {
		t.Helper()
		be, err := cpu.Open(o)
		if err != nil {
			t.Skip(err)
		}
		t.Cleanup(func() { be.Close() })
		return be
	}
}

func reference(testing.TB) backend.Backend { return cpu.OpenReference() }

func TestConformance(t *testing.T) {
	ref := backendtest.NewReference(cpu.OpenReference())
	for _, o := range []cpu.Options{
		{Kernels: "go", BLAS: "none", Threads: 1},
		{Kernels: "go", BLAS: "none", Threads: 2},
		{Kernels: "asm", BLAS: "none", Threads: 2},
		{Kernels: "c", BLAS: "none", Threads: 2},
		{Kernels: "avx2", BLAS: "none", Threads: 2},
		{Kernels: "avx512", BLAS: "none", Threads: 2},
		{Kernels: "neon", BLAS: "none", Threads: 2},
		{BLAS: "auto", Threads: 2},
	} {
		name := o.Kernels
		if o.BLAS != "none" {
			name = "blas"
		}
		t.Run(name, func(t *testing.T) { backendtest.Conform(t, open(o), ref, float32Limit) })
	}
}

func TestGradientsAreDerivatives(t *testing.T) { backendtest.Gradients(t, reference) }

func TestThreadsDoNotChangeBits(t *testing.T) {
	for _, kernels := range []string{"go", "asm", ""} {
		one := open(cpu.Options{Kernels: kernels, BLAS: "none", Threads: 1})(t)
		backendtest.SameBits(t, one, open(cpu.Options{Kernels: kernels, BLAS: "none", Threads: 3})(t))
	}
}
