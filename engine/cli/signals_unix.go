//go:build unix

package cli

import (
	"os"
	"os/signal"
	"syscall"

	"github.com/so8t/so8t/engine"
)

// handleSignals hands the terminal's and the system's signals to a run until release is called.
// Ctrl-Z stops the stages' process groups before this process stops itself, since they are in
// groups of their own and the terminal does not reach them; CONT lets all go on.
func handleSignals(e *engine.Engine, control *engine.Control) (release func()) {
	signals := make(chan os.Signal, 8)
	signal.Notify(signals, syscall.SIGINT, syscall.SIGTERM, syscall.SIGHUP, syscall.SIGTSTP, syscall.SIGCONT)
	done := make(chan struct{})
	go func() {
		for {
			select {
			case <-done:
				return
			case s := <-signals:
				deliver(e, control, s)
			}
		}
	}()
	return func() {
		signal.Stop(signals)
		close(done)
	}
}

func deliver(e *engine.Engine, control *engine.Control, s os.Signal) {
	switch s {
	case syscall.SIGINT:
		control.Interrupt(engine.SIGINT)
	case syscall.SIGTERM:
		control.Interrupt(engine.SIGTERM)
	case syscall.SIGHUP:
		control.Interrupt(engine.SIGHUP)
	case syscall.SIGTSTP:
		control.Suspend()
		// Stopped inside a transaction, this process would lock everyone else out of the state.
		e.Quiet(func() { _ = syscall.Kill(os.Getpid(), syscall.SIGSTOP) })
	case syscall.SIGCONT:
		control.Continue()
	}
}
