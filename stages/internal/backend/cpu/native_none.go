//go:build !cgo

package cpu

import "fmt"

// nativeKernels has no C to offer without cgo: the best is Go with the assembly product.
func nativeKernels(k *kernels[float32], want string) (string, error) {
	if want != "" {
		return "", fmt.Errorf("kernels %q: this build has only \"asm\" and \"go\" (it was made without cgo)", want)
	}
	if useTile(k) {
		return "asm", nil
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
