//go:build unix

package broken

import (
	"os/exec"
	"syscall"
)

// detach puts a process into a session of its own.
func detach(c *exec.Cmd) { c.SysProcAttr = &syscall.SysProcAttr{Setsid: true} }
