// Package probe says what this machine has to compute with, for people who ask why something
// is slow: the processor's kernels, a BLAS library, a GPU.
package probe

import (
	"fmt"
	"runtime"

	"github.com/so8t/so8t/cuda"
	"github.com/so8t/so8t/stages/internal/backend"
	"github.com/so8t/so8t/stages/internal/backend/cpu"
)

// CPU opens the cpu backend as a stage would, with the same environment variables, and returns
// what it says of itself.
func CPU() (backend.Info, error) { return describe(cpu.Options{}) }

// Kernels is CPU without looking for a BLAS library.
func Kernels() (backend.Info, error) { return describe(cpu.Options{BLAS: "none"}) }

func describe(o cpu.Options) (backend.Info, error) {
	be, err := cpu.Open(o)
	if err != nil {
		return backend.Info{}, err
	}
	info := be.Info()
	return info, be.Close()
}

// Processor is the architecture and the number of processors that this process may use.
func Processor() string { return fmt.Sprintf("%s, %d processors", runtime.GOARCH, runtime.NumCPU()) }

// GPU is a CUDA device.
type GPU struct {
	Name        string
	Capability  string // compute capability, as in "8.6"
	Free, Total int64  // bytes of its memory
	Driver      string // the CUDA version that the driver supports, as in "12.4"
	BLAS        string // where cuBLAS was found
	BLASVersion string
}

// CUDA opens the first GPU and describes it. The error says which library or device is missing.
func CUDA() (GPU, error) {
	d, err := cuda.Open(0)
	if err != nil {
		return GPU{}, err
	}
	info := d.Info()
	g := GPU{
		Name: info.Name, Capability: fmt.Sprintf("%d.%d", info.Major, info.Minor), Driver: fmt.Sprintf("%d.%d", info.Driver/1000, info.Driver%1000/10),
		BLAS: info.BLAS, BLASVersion: fmt.Sprintf("%d.%d.%d", info.BLASVersion/10000, info.BLASVersion/100%100, info.BLASVersion%100),
	}
	g.Free, g.Total, err = d.Memory()
	if closeErr := d.Close(); err == nil {
		err = closeErr
	}
	return g, err
}
