//go:build windows

package cuda

import (
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"syscall"

	"golang.org/x/sys/windows"
)

func openLibrary(name string) (uintptr, error) {
	lib, err := windows.LoadLibrary(name)
	if err != nil {
		return 0, fmt.Errorf("%s: %w", name, err)
	}
	return uintptr(lib), nil
}

func symbol(lib uintptr, name string) uintptr {
	address, err := windows.GetProcAddress(windows.Handle(lib), name)
	if err != nil {
		return 0
	}
	return address
}

//go:uintptrescapes
func invoke(address uintptr, args ...uintptr) int32 {
	code, _, _ := syscall.SyscallN(address, args...)
	return int32(code)
}

func driverNames() []string { return []string{"nvcuda.dll"} }

// blasNames lists plain names first (the system's own search), then the folder of an installed toolkit.
func blasNames() []string {
	files := []string{"cublas64_13.dll", "cublas64_12.dll", "cublas64_11.dll"}
	names := slices.Clone(files)
	if home := os.Getenv("CUDA_PATH"); home != "" {
		for _, file := range files {
			names = append(names, filepath.Join(home, "bin", file), filepath.Join(home, "bin", "x64", file))
		}
	}
	return names
}
