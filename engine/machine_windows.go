package engine

import (
	"unsafe"

	"golang.org/x/sys/windows"
)

// freeDisk is how many bytes this user can still write below dir; 0 = unknown.
func freeDisk(dir string) int64 {
	path, err := windows.UTF16PtrFromString(dir)
	if err != nil {
		return 0
	}
	var free uint64
	if err := windows.GetDiskFreeSpaceEx(path, &free, nil, nil); err != nil {
		return 0
	}
	return int64(free)
}

// memoryStatus is MEMORYSTATUSEX of the Windows API; the sizes are in bytes.
type memoryStatus struct {
	length, load                       uint32
	totalPhysical, availablePhysical   uint64
	totalPageFile, availablePageFile   uint64
	totalVirtual, availableVirtual     uint64
	availableExtendedVirtualUnusedZero uint64
}

var globalMemoryStatus = windows.NewLazySystemDLL("kernel32.dll").NewProc("GlobalMemoryStatusEx")

// freeMemory is how many bytes can be taken without swapping; 0 = unknown.
func freeMemory() int64 {
	status := memoryStatus{length: uint32(unsafe.Sizeof(memoryStatus{}))}
	if ok, _, _ := globalMemoryStatus.Call(uintptr(unsafe.Pointer(&status))); ok == 0 {
		return 0
	}
	return int64(status.availablePhysical)
}
