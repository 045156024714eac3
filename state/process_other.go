//go:build !linux && !windows

package state

import (
	"fmt"
	"os"

	"golang.org/x/sys/unix"
)

// ProcessStart returns when a process of this system started, in the system's own unit,
// so that a pid used again is told apart. Here the system does not say: 0 for a process
// that exists. It fails when there is no such process.
func ProcessStart(pid int) (uint64, error) {
	if err := unix.Kill(pid, 0); err != nil && err != unix.EPERM {
		return 0, fmt.Errorf("looking at process %d: %w", pid, os.NewSyscallError("kill", err))
	}
	return 0, nil
}

// BootID tells one boot of this machine from the next; "" where the system has none.
func BootID() string { return "" }

func pidNamespace() string { return "" }
