//go:build !linux

package host

import "os"

// RunningUsage: what a process takes is known when it has ended.
func RunningUsage(Record) (Usage, bool) { return Usage{}, false }

func runningUsage(r Record) (Usage, bool) { return RunningUsage(r) }

func transferred(int) (read, written int64) { return 0, 0 }

func endedUsage(state *os.ProcessState) Usage {
	u := Usage{CPU: state.UserTime() + state.SystemTime()}
	u.PeakRSS = peakRSS(state)
	return u
}
