//go:build !cgo

package cpu

import "fmt"

// nativeKernels has nothing to offer without cgo: the Go kernels stay.
func nativeKernels(_ *kernels[float32], want string) (string, error) {
	if want != "" {
		return "", fmt.Errorf("kernels %q: this build has only \"go\" (it was made without cgo)", want)
	}
	return "go", nil
}

type library struct {
	path, version string
	gemm          gemmFunc[float32]
}

func openBLAS(path string) (*library, error) {
	if path != "" {
		return nil, fmt.Errorf("opening BLAS %q: this build cannot load libraries (it was made without cgo)", path)
	}
	return nil, nil
}
