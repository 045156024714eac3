//go:build !linux

package plugins

import (
	"os/exec"
	"time"
)

// startTied starts a program. There is no parent-death signal here: the process group (or
// job object) that the program inherits is what ends it.
func startTied(c *exec.Cmd, _ time.Duration) error { return c.Start() }
