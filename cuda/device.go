//go:build cgo && linux

package cuda

/*
#cgo LDFLAGS: -ldl
#include <stdlib.h>
#include "shim.h"
*/
import "C"

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"unsafe"
)

// Device is one GPU with its primary context retained. Its methods may be called from any
// goroutine, one at a time.
type Device struct {
	mu   sync.Mutex
	c    C.so8t_device
	info Info
}

// libraries is filled once per process: a loaded library is never unloaded.
var libraries struct {
	once sync.Once
	blas string
	err  error
}

// Open opens the GPU of the given index, 0 for the first.
func Open(index int) (*Device, error) {
	libraries.once.Do(func() { libraries.blas, libraries.err = loadLibraries() })
	if libraries.err != nil {
		return nil, libraries.err
	}
	d := &Device{}
	if err := call(func(message *C.char, n C.size_t) C.int {
		return C.so8t_cuda_open(C.int(index), &d.c, message, n)
	}); err != nil {
		return nil, err
	}
	d.info = Info{
		Name: C.GoString(&d.c.name[0]), Major: int(d.c.major), Minor: int(d.c.minor),
		Memory: int64(d.c.memory), Driver: int(d.c.driver), BLAS: libraries.blas,
	}
	return d, nil
}

// Info says what was opened.
func (d *Device) Info() Info { return d.info }

// Memory returns the free and total memory of the device in bytes.
func (d *Device) Memory() (free, total int64, err error) {
	d.mu.Lock()
	defer d.mu.Unlock()
	var f, t C.size_t
	err = call(func(message *C.char, n C.size_t) C.int {
		return C.so8t_cuda_memory(&d.c, &f, &t, message, n)
	})
	return int64(f), int64(t), err
}

// Close gives the context back.
func (d *Device) Close() error {
	d.mu.Lock()
	defer d.mu.Unlock()
	C.so8t_cuda_close(&d.c)
	return nil
}

// loadLibraries finds the driver and cuBLAS and returns the name of the latter.
func loadLibraries() (string, error) {
	if _, err := loadFirst(driverNames(), func(path, message *C.char, n C.size_t) C.int {
		return C.so8t_cuda_load(path, message, n)
	}); err != nil {
		return "", err
	}
	return loadFirst(blasNames(), func(path, message *C.char, n C.size_t) C.int {
		return C.so8t_cublas_load(path, message, n)
	})
}

// loadFirst tries names in order; the error is that of the first, the one most likely wanted.
func loadFirst(names []string, load func(path, message *C.char, n C.size_t) C.int) (string, error) {
	var first error
	for _, name := range names {
		path := C.CString(name)
		err := call(func(message *C.char, n C.size_t) C.int { return load(path, message, n) })
		C.free(unsafe.Pointer(path))
		if err == nil {
			return name, nil
		}
		if first == nil {
			first = err
		}
	}
	return "", first
}

// call runs one entry of the shim and turns its message into an error.
func call(f func(message *C.char, n C.size_t) C.int) error {
	const size = 512
	message := (*C.char)(C.calloc(size, 1))
	defer C.free(unsafe.Pointer(message))
	if f(message, size) == 0 {
		return nil
	}
	return fmt.Errorf("%w: %s", ErrUnavailable, strings.TrimSpace(C.GoString(message)))
}

func driverNames() []string {
	if path := os.Getenv(EnvDriver); path != "" {
		return []string{path}
	}
	return []string{"libcuda.so.1", "/usr/lib/wsl/lib/libcuda.so.1"}
}

// blasNames lists sonames first (the loader's own search), then the usual folders of a CUDA
// toolkit and of the wheels that PyTorch brings.
func blasNames() []string {
	if path := os.Getenv(EnvBLAS); path != "" {
		return []string{path}
	}
	sonames := []string{"libcublas.so.13", "libcublas.so.12", "libcublas.so.11", "libcublas.so"}
	names := append([]string(nil), sonames...)
	folders, _ := filepath.Glob("/usr/local/cuda*/lib64")
	if home := os.Getenv("CUDA_HOME"); home != "" {
		folders = append([]string{filepath.Join(home, "lib64")}, folders...)
	}
	for _, folder := range folders {
		for _, soname := range sonames {
			names = append(names, filepath.Join(folder, soname))
		}
	}
	return names
}
