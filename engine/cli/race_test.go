//go:build race && linux

package cli_test

import (
	"os"
	"syscall"
)

// raceOptions are for the program's processes: the race detector makes every exit wait a second,
// for reports that come late, and these tests start hundreds of processes.
const raceOptions = "atexit_sleep_ms=0"

// exit ends a stage's process at once: it does not get the variable that says so.
func exit(code int) {
	if len(os.Args) > 1 && os.Args[1] == "__stage" {
		_, _, _ = syscall.RawSyscall(syscall.SYS_EXIT_GROUP, uintptr(code), 0, 0)
	}
	os.Exit(code)
}
