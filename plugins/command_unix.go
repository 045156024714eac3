//go:build unix

package plugins

import (
	"os"
	"sync/atomic"
	"syscall"
)

// ownSignals counts the SIGTERMs that Terminate has sent to this process too.
var ownSignals atomic.Int64

// Terminate asks the program and all that it started to end: SIGTERM to the process group that
// they share with the stage, which itself goes on. Where the group is not the stage's own,
// only the program is asked.
func (c *Cmd) Terminate() error {
	if syscall.Getpgrp() != os.Getpid() {
		return c.Process.Signal(syscall.SIGTERM)
	}
	ownSignals.Add(1)
	return syscall.Kill(0, syscall.SIGTERM)
}

// OwnSignal reports whether a SIGTERM that this process got is one of Terminate's, once for each;
// the sdk asks, which otherwise ends the process.
func OwnSignal() bool {
	for {
		n := ownSignals.Load()
		if n == 0 {
			return false
		}
		if ownSignals.CompareAndSwap(n, n-1) {
			return true
		}
	}
}
