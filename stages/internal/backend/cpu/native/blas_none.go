//go:build cgo && windows

package native

import "errors"

// BLAS is a library that was found at run time: none is looked for here.
type BLAS struct{ Path, Version string }

// Names is empty.
var Names []string

// OpenBLAS has nothing to open.
func OpenBLAS(string) (*BLAS, error) {
	return nil, errors.New("loading a BLAS library is not supported on windows")
}

// Gemm is never reached.
func (b *BLAS) Gemm(bool, bool, int, int, int, float32, []float32, int, []float32, int, float32, []float32, int) {
}
