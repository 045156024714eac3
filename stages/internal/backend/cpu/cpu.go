// Package cpu is the backend on the host's processor: own kernels in C (chosen by instruction set at run time), OpenBLAS for matrix products when
// one is found, Go with an assembly product when built without cgo, and a float64 reference for tests.
//
// One machine[T] does the bookkeeping, splits work over threads and calls a table of kernels; the tables differ: goKernels[T] is complete and
// plain, the C tables replace its entries for float32. Work is split over rows, columns, heads or segments only, never inside a sum, so the
// bits do not depend on the number of threads.
package cpu

import (
	"errors"
	"fmt"
	"os"
	"runtime"

	"github.com/so8t/so8t/stages/internal/backend"
)

// Options chooses how the CPU computes. The zero value is what a training run wants: everything found by itself.
type Options struct {
	// Threads, 0: as many as GOMAXPROCS.
	Threads int
	// BLAS is the path of a BLAS library, "none" for our own kernels, "auto" to insist on finding one of the usual names, "" for SO8T_BLAS
	// and then a search that is content with nothing.
	BLAS string
	// Kernels is "avx512", "avx2", "neon", "c" (those need cgo), "asm" (Go with a product in AVX2 assembly) or "go"; "" takes SO8T_KERNELS and then the best the processor has.
	Kernels string
	// Limit is the most that buffers may take, bytes; 0: no limit. Frozen weights that are used where they lie do not count.
	Limit int64
}

// Open makes the float32 backend. It fails when something asked for by name is not there.
func Open(o Options) (backend.Backend, error) {
	if o.Threads <= 0 {
		o.Threads = runtime.GOMAXPROCS(0)
	}
	if o.Kernels == "" {
		o.Kernels = os.Getenv("SO8T_KERNELS")
	}
	if o.BLAS == "" {
		o.BLAS = os.Getenv("SO8T_BLAS")
	}
	m := newMachine[float32](o.Threads)
	m.mem.limit = o.Limit
	m.info = backend.Info{Name: "cpu", Device: "go", BLAS: "own", Threads: o.Threads, Bits: 32}
	m.k = goKernels[float32]()
	switch o.Kernels {
	case "go":
	case "asm":
		if !useTile(&m.k) {
			_ = m.Close()
			return nil, errors.New("opening the cpu backend: kernels \"asm\": this processor does not have AVX2 and FMA")
		}
		m.info.Device = "asm"
	default:
		name, err := nativeKernels(&m.k, o.Kernels)
		if err != nil {
			_ = m.Close()
			return nil, fmt.Errorf("opening the cpu backend: %w", err)
		}
		m.info.Device = name
	}
	if o.BLAS != "none" {
		if err := m.useBLAS(o.BLAS); err != nil {
			_ = m.Close()
			return nil, fmt.Errorf("opening the cpu backend: %w", err)
		}
	}
	return m, nil
}

// useBLAS replaces the matrix product by a library's. An empty path searches and is content with nothing. The library computes on one
// thread and we split the work, so that its threads and ours do not fight for the processors. (How a library rounds may then depend on the
// split, that is, on the number of threads: Info names both.)
func (m *machine[T]) useBLAS(path string) error {
	lib, err := openBLAS(path)
	if err != nil || lib == nil {
		return err
	}
	gemm, ok := any(lib.gemm).(gemmFunc[T])
	if !ok {
		return fmt.Errorf("using %s: it has no product of this precision", lib.path)
	}
	m.k.gemm = gemm
	m.info.BLAS, m.info.Version = lib.path, lib.version
	return nil
}

// OpenReference makes the float64 backend in plain Go: slow, one thread, for tests.
func OpenReference() backend.Backend {
	m := newMachine[float64](1)
	m.info = backend.Info{Name: "cpu-reference", Device: "go", BLAS: "own", Threads: 1, Bits: 64}
	m.k = goKernels[float64]()
	return m
}
