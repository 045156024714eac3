package plugins

import (
	"os/exec"
	"runtime"
	"sync"
	"syscall"
)

// starts hands functions to the one thread from which processes are started. The goroutine
// is locked to it and never returns, so the thread ends with the process and not before.
var starts = sync.OnceValue(func() chan<- func() {
	c := make(chan func())
	go func() {
		runtime.LockOSThread()
		for f := range c {
			f()
		}
	}()
	return c
})

func startTied(c *exec.Cmd) error {
	if c.SysProcAttr == nil {
		c.SysProcAttr = &syscall.SysProcAttr{}
	}
	if c.SysProcAttr.Pdeathsig == 0 {
		c.SysProcAttr.Pdeathsig = syscall.SIGKILL
	}
	done := make(chan error)
	starts() <- func() { done <- c.Start() }
	return <-done
}
