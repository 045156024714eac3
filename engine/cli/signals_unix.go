//go:build unix

package cli

import (
	"os"
	"os/signal"
	"syscall"

	"github.com/so8t/so8t/engine"
)

// listen handles signals until release is called. SIGPIPE is caught so that it does nothing: a
// reader of our output that went away (`so8t run --json | head`) is no reason to end a run.
func (h *signalHandler) listen() (release func()) {
	signals := make(chan os.Signal, 8)
	signal.Notify(signals, syscall.SIGINT, syscall.SIGTERM, syscall.SIGHUP, syscall.SIGTSTP, syscall.SIGCONT)
	pipes := make(chan os.Signal, 1) // never read
	signal.Notify(pipes, syscall.SIGPIPE)
	done := make(chan struct{})
	go func() {
		for {
			select {
			case <-done:
				return
			case s := <-signals:
				h.deliver(s)
			}
		}
	}()
	return func() {
		signal.Stop(signals)
		signal.Stop(pipes)
		close(done)
	}
}

func (h *signalHandler) deliver(s os.Signal) {
	switch s {
	case syscall.SIGINT:
		h.interrupt(engine.SIGINT)
	case syscall.SIGTERM:
		h.interrupt(engine.SIGTERM)
	case syscall.SIGHUP:
		h.interrupt(engine.SIGHUP)
	case syscall.SIGTSTP:
		h.suspend(func() { _ = syscall.Kill(os.Getpid(), syscall.SIGSTOP) })
	case syscall.SIGCONT:
		h.resume()
	}
}
