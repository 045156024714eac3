// Package cuda opens an NVIDIA card through the driver API and cuBLAS, both loaded at run time: nothing of CUDA is needed to build, and a
// machine without a card gets ErrUnavailable, which says what was looked for and where. It holds the kernels too, as PTX that the driver
// compiles for the card (kernels/), and knows nothing of training. It imports nothing of ours.
//
// A Device has one stream, and one OS thread that is the only one to call the driver. Most calls only queue work; the first failure stays
// (Err), and everything after it is skipped.
package cuda

import (
	"errors"
	"fmt"
)

var (
	// ErrUnavailable says that there is no usable card. The wrapping error says which library, device or version is missing.
	ErrUnavailable = errors.New("cuda: not available")
	// ErrOutOfMemory is a card without as much free memory as was asked for.
	ErrOutOfMemory = errors.New("cuda: out of memory")
)

// Info describes an opened device.
type Info struct {
	Name string
	// Major and Minor are the compute capability (8.6 = RTX 3060).
	Major, Minor int
	// Memory is the device's total memory in bytes.
	Memory int64
	// Driver is the CUDA version that the driver supports: 12040 = 12.4.
	Driver int
	// BLAS is the path or soname of the cuBLAS library in use, BLASVersion its version: 120103 = 12.1.3.
	BLAS        string
	BLASVersion int
}

// BF16 reports whether the card multiplies bfloat16 and TF32 on its tensor cores.
func (i Info) BF16() bool { return i.Major >= 8 }

// Environment variables that name a library outright; when set, nothing else is tried.
const (
	EnvDriver = "SO8T_LIBCUDA"
	EnvBLAS   = "SO8T_LIBCUBLAS"
)

// Pointer is a place in the card's memory.
type Pointer uint64

// Error is a failed call of the driver or of cuBLAS.
type Error struct {
	Call string
	Code int
}

func (e *Error) Error() string {
	meaning := driverErrors[e.Code]
	if isBLAS(e.Call) {
		meaning = blasErrors[e.Code]
	}
	if meaning == "" {
		meaning = "an error that so8t does not know"
	}
	return fmt.Sprintf("%s -> %d %s", e.Call, e.Code, meaning)
}

// Is makes errors.Is(err, ErrOutOfMemory) true for what the driver and cuBLAS say when memory is short.
func (e *Error) Is(target error) bool {
	memory := e.Code == 2 && !isBLAS(e.Call) || e.Code == 3 && isBLAS(e.Call)
	return target == ErrOutOfMemory && memory
}

func isBLAS(call string) bool { return len(call) > 6 && call[:6] == "cublas" }

// driverErrors are the codes that people meet, with what to do.
var driverErrors = map[int]string{
	1:   "CUDA_ERROR_INVALID_VALUE",
	2:   "CUDA_ERROR_OUT_OF_MEMORY: the card's memory is used up; nvidia-smi shows by whom",
	3:   "CUDA_ERROR_NOT_INITIALIZED",
	46:  "CUDA_ERROR_DEVICE_UNAVAILABLE: another process has the card for itself (nvidia-smi shows it; compute mode EXCLUSIVE_PROCESS)",
	100: "CUDA_ERROR_NO_DEVICE: the driver sees no card (is CUDA_VISIBLE_DEVICES empty?)",
	101: "CUDA_ERROR_INVALID_DEVICE: there is no card of this number",
	200: "CUDA_ERROR_INVALID_IMAGE",
	201: "CUDA_ERROR_INVALID_CONTEXT",
	209: "CUDA_ERROR_NO_BINARY_FOR_GPU: the kernels do not run on this card",
	214: "CUDA_ERROR_ECC_UNCORRECTABLE: the card's memory is faulty (dmesg shows an Xid)",
	218: "CUDA_ERROR_INVALID_PTX: the driver cannot compile the kernels",
	222: "CUDA_ERROR_UNSUPPORTED_PTX_VERSION: the driver is too old for the kernels; 530 or newer is needed",
	304: "CUDA_ERROR_OPERATING_SYSTEM: the system refused (are /dev/nvidia* readable and writable for this user?)",
	400: "CUDA_ERROR_INVALID_HANDLE",
	500: "CUDA_ERROR_NOT_FOUND: the kernels do not hold what was asked for",
	700: "CUDA_ERROR_ILLEGAL_ADDRESS: a kernel touched memory that is not its own",
	701: "CUDA_ERROR_LAUNCH_OUT_OF_RESOURCES",
	702: "CUDA_ERROR_LAUNCH_TIMEOUT: the display's watchdog ended a kernel",
	716: "CUDA_ERROR_MISALIGNED_ADDRESS",
	717: "CUDA_ERROR_INVALID_ADDRESS_SPACE",
	718: "CUDA_ERROR_INVALID_PC",
	719: "CUDA_ERROR_LAUNCH_FAILED: the card was lost in the middle of a kernel (dmesg shows an Xid); start again when nvidia-smi sees it",
	800: "CUDA_ERROR_NOT_PERMITTED",
	801: "CUDA_ERROR_NOT_SUPPORTED",
	803: "CUDA_ERROR_SYSTEM_DRIVER_MISMATCH: the driver's library and its kernel module differ; reboot after the update",
	804: "CUDA_ERROR_COMPAT_NOT_SUPPORTED_ON_DEVICE",
	999: "CUDA_ERROR_UNKNOWN: the card was lost, or its kernel module is not loaded (dmesg shows an Xid)",
}

var blasErrors = map[int]string{
	1:  "CUBLAS_STATUS_NOT_INITIALIZED",
	3:  "CUBLAS_STATUS_ALLOC_FAILED: the card's memory is used up",
	7:  "CUBLAS_STATUS_INVALID_VALUE",
	8:  "CUBLAS_STATUS_ARCH_MISMATCH",
	11: "CUBLAS_STATUS_MAPPING_ERROR",
	13: "CUBLAS_STATUS_EXECUTION_FAILED: the card was lost in the middle of a product (dmesg shows an Xid)",
	14: "CUBLAS_STATUS_INTERNAL_ERROR",
	15: "CUBLAS_STATUS_NOT_SUPPORTED",
}
