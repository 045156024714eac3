package plugins

import (
	"os/exec"
	"runtime"
	"sync"
	"syscall"
	"time"

	"golang.org/x/sys/unix"
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

// usualSlack is what a program has whom nobody gave another: the thread may have inherited more.
const usualSlack = 50 * time.Microsecond

func startTied(c *exec.Cmd, slack time.Duration) error {
	if slack == 0 {
		slack = usualSlack
	}
	if c.SysProcAttr == nil {
		c.SysProcAttr = &syscall.SysProcAttr{}
	}
	if c.SysProcAttr.Pdeathsig == 0 {
		c.SysProcAttr.Pdeathsig = syscall.SIGKILL
	}
	done := make(chan error)
	starts() <- func() {
		// The program inherits it from the thread that starts it. Without it timers are only more exact.
		_ = unix.Prctl(unix.PR_SET_TIMERSLACK, uintptr(slack.Nanoseconds()), 0, 0, 0)
		done <- c.Start()
	}
	return <-done
}
