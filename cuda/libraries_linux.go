//go:build cgo && linux

package cuda

/*
#cgo LDFLAGS: -ldl
#include <dlfcn.h>
#include <stdint.h>
#include <stdlib.h>

// Every entry point takes integers and pointers only, at most 19, and returns an int. More arguments than it takes do no harm in the calling
// conventions of amd64 and arm64, and an int is the low half of its register or slot.
typedef uintptr_t u;
typedef int (*entry)(u, u, u, u, u, u, u, u, u, u, u, u, u, u, u, u, u, u, u, u);

static u so8t_symbol(u lib, const char *name) { return (u)dlsym((void *)lib, name); }

static int so8t_invoke(u f, const u *a)
{
	return ((entry)f)(a[0], a[1], a[2], a[3], a[4], a[5], a[6], a[7], a[8], a[9], a[10], a[11], a[12], a[13], a[14], a[15], a[16], a[17],
		a[18], a[19]);
}
*/
import "C"

import (
	"errors"
	"os"
	"path/filepath"
	"slices"
	"unsafe"
)

const mostArguments = 20

func openLibrary(name string) (uintptr, error) {
	path := C.CString(name)
	defer C.free(unsafe.Pointer(path))
	lib := C.dlopen(path, C.RTLD_NOW|C.RTLD_LOCAL)
	if lib == nil {
		return 0, errors.New(C.GoString(C.dlerror()))
	}
	return uintptr(lib), nil
}

func symbol(lib uintptr, name string) uintptr {
	s := C.CString(name)
	defer C.free(unsafe.Pointer(s))
	return uintptr(C.so8t_symbol(C.u(lib), s))
}

//go:uintptrescapes
func invoke(address uintptr, args ...uintptr) int32 {
	var a [mostArguments]C.u
	for i, v := range args {
		a[i] = C.u(v)
	}
	return int32(C.so8t_invoke(C.u(address), &a[0]))
}

func driverNames() []string { return []string{"libcuda.so.1", "/usr/lib/wsl/lib/libcuda.so.1"} }

// blasNames lists sonames first (the loader's own search), then the usual folders of a CUDA toolkit and of pip's wheels.
func blasNames() []string {
	sonames := []string{"libcublas.so.13", "libcublas.so.12", "libcublas.so.11", "libcublas.so"}
	names := slices.Clone(sonames)
	for _, folder := range blasFolders() {
		for _, soname := range sonames {
			if path := filepath.Join(folder, soname); exists(path) {
				names = append(names, path)
			}
		}
	}
	return names
}

func blasFolders() []string {
	var folders []string
	for _, env := range []string{"CUDA_HOME", "CUDA_PATH"} {
		if home := os.Getenv(env); home != "" {
			folders = append(folders, filepath.Join(home, "lib64"), filepath.Join(home, "targets/x86_64-linux/lib"))
		}
	}
	patterns := []string{"/usr/local/cuda*/lib64", "/usr/local/cuda*/targets/*/lib", "/usr/lib/python3*/*-packages", "/usr/local/lib/python3*/*-packages"}
	for _, env := range []string{"VIRTUAL_ENV", "CONDA_PREFIX"} {
		if home := os.Getenv(env); home != "" {
			patterns = append(patterns, filepath.Join(home, "lib/python3*/site-packages"))
		}
	}
	if home := os.Getenv("HOME"); home != "" {
		patterns = append(patterns, filepath.Join(home, ".local/lib/python3*/site-packages"))
	}
	for _, pattern := range patterns {
		found, _ := filepath.Glob(pattern)
		slices.Reverse(found) // newest first
		for _, folder := range found {
			folders = append(folders, folder, filepath.Join(folder, "nvidia/cublas/lib"), filepath.Join(folder, "nvidia/cu13/lib"))
		}
	}
	return folders
}

func exists(path string) bool {
	_, err := os.Stat(path)
	return err == nil
}
