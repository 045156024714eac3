package state

import (
	"fmt"

	"golang.org/x/sys/windows"
)

// ProcessStart returns when a process of this system started, in the system's own unit
// (Windows: 100 ns since 1601), so that a pid used again is told apart. It fails when
// there is no such process.
func ProcessStart(pid int) (uint64, error) {
	h, err := windows.OpenProcess(windows.PROCESS_QUERY_LIMITED_INFORMATION, false, uint32(pid))
	if err != nil {
		return 0, fmt.Errorf("looking at process %d: %w", pid, err)
	}
	defer func() { _ = windows.CloseHandle(h) }()
	var created, exited, kernel, user windows.Filetime
	if err := windows.GetProcessTimes(h, &created, &exited, &kernel, &user); err != nil {
		return 0, fmt.Errorf("looking at process %d: %w", pid, err)
	}
	return uint64(created.HighDateTime)<<32 | uint64(created.LowDateTime), nil
}

// BootID tells one boot of this machine from the next; "" where the system has none.
func BootID() string { return "" }

func pidNamespace() string { return "" }
