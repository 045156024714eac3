// Package cuda opens an NVIDIA GPU through the driver and cuBLAS, both found at run time.
//
// Nothing of CUDA is needed to build it: the libraries are opened with dlopen, and a machine
// without them gets ErrUnavailable, which callers treat as "use the CPU". Without cgo, and on
// systems other than Linux, Open always returns ErrUnavailable. It imports nothing of ours.
package cuda

import "errors"

// ErrUnavailable says that there is no usable GPU. The wrapping error says which library or
// device is missing.
var ErrUnavailable = errors.New("cuda: not available")

// Info describes an opened device.
type Info struct {
	Name string
	// Major and Minor are the compute capability (8.6 = RTX 3060).
	Major, Minor int
	// Memory is the device's total memory in bytes.
	Memory int64
	// Driver is the CUDA version that the driver supports: 12040 = 12.4.
	Driver int
	// BLAS is the path or soname of the cuBLAS library in use.
	BLAS string
}

// Environment variables that name a library outright; when set, nothing else is tried.
const (
	EnvDriver = "SO8T_LIBCUDA"
	EnvBLAS   = "SO8T_LIBCUBLAS"
)
