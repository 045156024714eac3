package cuda

import (
	"fmt"
	"unsafe"
)

// Type is a number type of a product's operands.
type Type int

const (
	Float32  Type = 0  // CUDA_R_32F
	BFloat16 Type = 14 // CUDA_R_16BF
)

// Matrix is an operand in the card's memory: row-major, rows LD numbers apart, transposed when Trans is set.
type Matrix struct {
	At    Pointer
	LD    int
	Trans bool
}

// Product is C[M,N] = Alpha op(A)[M,K] op(B)[K,N] + Beta C, with C in float32; with Beta 0 its old contents are not read. K is at least 1.
type Product struct {
	M, N, K     int
	Alpha, Beta float32
	A, B        Matrix
	C           Pointer
	LDC         int
	// Type is that of A and B. TF32 lets float32 operands be rounded to 10 bits of mantissa, for tensor cores.
	Type Type
	TF32 bool
}

func (d *Device) openBLAS() error {
	if err := call("cublasCreate_v2", uintptr(unsafe.Pointer(&d.blas))); err != nil {
		return err
	}
	var version int32
	if err := call("cublasGetVersion_v2", d.blas, uintptr(unsafe.Pointer(&version))); err != nil {
		return err
	}
	d.info.BLASVersion = int(version)
	if err := call("cuMemAlloc_v2", uintptr(unsafe.Pointer(&d.workspace)), workspace); err != nil {
		return err
	}
	if err := call("cublasSetStream_v2", d.blas, d.stream); err != nil { // forgets the workspace: in this order
		return err
	}
	return call("cublasSetWorkspace_v2", d.blas, uintptr(d.workspace), workspace)
}

// Gemm queues a product. cuBLAS counts columns first: there our C is Cᵀ = op(B)ᵀ op(A)ᵀ, so the operands change places and keep their ops.
func (d *Device) Gemm(p Product) {
	const compute32, computeTF32, defaultAlgorithm = 68, 77, ^uintptr(0)
	q := &p // on the heap: cuBLAS reads alpha and beta during the call
	d.do(func() error {
		compute := uintptr(compute32)
		if q.TF32 && q.Type == Float32 {
			compute = computeTF32
		}
		err := d.timed("gemm", func() error {
			return call("cublasGemmEx", d.blas, operation(q.B), operation(q.A), uintptr(q.N), uintptr(q.M), uintptr(q.K),
				uintptr(unsafe.Pointer(&q.Alpha)), uintptr(q.B.At), uintptr(q.Type), uintptr(q.B.LD), uintptr(q.A.At), uintptr(q.Type),
				uintptr(q.A.LD), uintptr(unsafe.Pointer(&q.Beta)), uintptr(q.C), uintptr(Float32), uintptr(q.LDC), compute, defaultAlgorithm)
		})
		if err != nil {
			return fmt.Errorf("multiplying %d x %d by %d x %d: %w", q.M, q.K, q.K, q.N, err)
		}
		return nil
	})
}

func operation(m Matrix) uintptr {
	if m.Trans {
		return 1
	}
	return 0
}
