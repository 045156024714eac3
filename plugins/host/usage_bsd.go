//go:build unix && !linux

package host

import (
	"os"
	"runtime"
	"syscall"
)

// peakRSS is in bytes on a Mac and in kilobytes on the others.
func peakRSS(state *os.ProcessState) int64 {
	r, ok := state.SysUsage().(*syscall.Rusage)
	if !ok {
		return 0
	}
	if runtime.GOOS == "darwin" {
		return int64(r.Maxrss)
	}
	return int64(r.Maxrss) * 1024
}
