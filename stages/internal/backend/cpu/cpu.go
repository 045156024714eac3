// Package cpu is the backend on the host's processor: own kernels in C (chosen by instruction set at run time), OpenBLAS for matrix products when
// one is found, plain Go when built without cgo, and a float64 reference for tests.
package cpu

import (
	"errors"

	"github.com/so8t/so8t/stages/internal/backend"
)

// Options chooses how the CPU computes. The zero value is what a training run wants: everything found by itself.
type Options struct {
	// Threads, 0: as many as GOMAXPROCS.
	Threads int
	// BLAS is the path of a BLAS library, "none" for our own kernels, "" for SO8T_BLAS and then a search of the usual names.
	BLAS string
	// Kernels is "avx512", "avx2", "neon", "c" or "go"; "" takes SO8T_KERNELS and then the best the processor has.
	Kernels string
}

// Open makes the float32 backend.
func Open(o Options) (backend.Backend, error) {
	return nil, errors.New("opening the cpu backend: not written yet")
}

// OpenReference makes the float64 backend in plain Go: slow, one thread, for tests.
func OpenReference() backend.Backend { return nil }
