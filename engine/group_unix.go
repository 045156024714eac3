//go:build unix

package engine

import (
	"os/exec"
	"syscall"
)

// ownGroup puts a program into a process group of its own, which ends as a whole with its context.
func ownGroup(c *exec.Cmd) {
	c.SysProcAttr = &syscall.SysProcAttr{Setpgid: true}
	c.Cancel = func() error { return syscall.Kill(-c.Process.Pid, syscall.SIGKILL) }
}
