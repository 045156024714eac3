package cuda

import (
	"fmt"
	"os"
	"strings"
	"sync"
)

// The entry points, by their literal exported names: a _v2 is the 64-bit one, whatever headers make of the plain name.
var (
	driverCalls = []string{
		"cuInit", "cuDriverGetVersion", "cuDeviceGetCount", "cuDeviceGet", "cuDeviceGetName", "cuDeviceGetAttribute", "cuDeviceTotalMem_v2",
		"cuMemGetInfo_v2", "cuDevicePrimaryCtxRetain", "cuDevicePrimaryCtxRelease_v2", "cuCtxSetCurrent", "cuStreamCreate",
		"cuStreamDestroy_v2", "cuStreamSynchronize", "cuEventCreate", "cuEventDestroy_v2", "cuEventRecord", "cuEventElapsedTime",
		"cuMemAlloc_v2", "cuMemFree_v2", "cuMemHostAlloc", "cuMemFreeHost", "cuMemcpyHtoDAsync_v2", "cuMemcpyDtoHAsync_v2",
		"cuMemsetD8Async", "cuModuleLoadData", "cuModuleUnload", "cuModuleGetFunction", "cuFuncSetAttribute", "cuLaunchKernel",
	}
	blasCalls = []string{
		"cublasCreate_v2", "cublasDestroy_v2", "cublasGetVersion_v2", "cublasSetStream_v2", "cublasSetWorkspace_v2", "cublasGemmEx",
	}
)

// loaded is filled once per process: a loaded library stays.
var loaded struct {
	once  sync.Once
	calls map[string]uintptr // addresses by name
	blas  string
	err   error
}

// load finds the driver and cuBLAS.
func load() error {
	loaded.once.Do(func() {
		loaded.calls = map[string]uintptr{}
		if _, loaded.err = loadFirst("the driver", EnvDriver, driverNames(), driverCalls); loaded.err == nil {
			loaded.blas, loaded.err = loadFirst("cuBLAS", EnvBLAS, blasNames(), blasCalls)
		}
	})
	return loaded.err
}

// loadFirst opens the first of the names that can be opened and resolves the calls. The error lists what was tried.
func loadFirst(what, env string, names, calls []string) (string, error) {
	if path := os.Getenv(env); path != "" {
		names = []string{path}
	}
	var tried []string
	for _, name := range names {
		lib, err := openLibrary(name)
		if err != nil {
			tried = append(tried, err.Error())
			continue
		}
		for _, call := range calls {
			address := symbol(lib, call)
			if address == 0 {
				return "", fmt.Errorf("%w: %s, %s, lacks %s", ErrUnavailable, what, name, call)
			}
			loaded.calls[call] = address
		}
		return name, nil
	}
	return "", fmt.Errorf("%w: %s was not found (%s names it outright); tried: %s", ErrUnavailable, what, env, strings.Join(tried, "; "))
}

// call runs an entry point. Pointers go through uintptr(unsafe.Pointer(p)) in the call itself.
//
//go:uintptrescapes
func call(name string, args ...uintptr) error {
	if code := invoke(loaded.calls[name], args...); code != 0 {
		return &Error{Call: name, Code: int(code)}
	}
	return nil
}
