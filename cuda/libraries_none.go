//go:build !windows && !(cgo && linux)

package cuda

import "errors"

func openLibrary(name string) (uintptr, error) {
	return 0, errors.New(name + ": this build of so8t cannot load libraries (no cgo, or a system without CUDA)")
}

func symbol(uintptr, string) uintptr { return 0 }

func invoke(uintptr, ...uintptr) int32 { return -1 }

func driverNames() []string { return []string{"libcuda"} }

func blasNames() []string { return nil }
