package host

import (
	"fmt"

	"golang.org/x/sys/unix"
)

// birth is the start time of a process; "" when it is gone.
func birth(pid int) string {
	info, err := unix.SysctlKinfoProc("kern.proc.pid", pid)
	if err != nil || info.Proc.P_pid != int32(pid) {
		return ""
	}
	t := info.Proc.P_starttime
	return fmt.Sprintf("%d.%06d", t.Sec, t.Usec)
}
