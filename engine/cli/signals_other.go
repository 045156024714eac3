//go:build !unix

package cli

import (
	"os"
	"os/signal"

	"github.com/so8t/so8t/engine"
)

// handleSignals hands Ctrl-C to a run until release is called.
func handleSignals(_ *engine.Engine, control *engine.Control) (release func()) {
	signals := make(chan os.Signal, 8)
	signal.Notify(signals, os.Interrupt)
	done := make(chan struct{})
	go func() {
		for {
			select {
			case <-done:
				return
			case <-signals:
				control.Interrupt(engine.SIGINT)
			}
		}
	}()
	return func() {
		signal.Stop(signals)
		close(done)
	}
}
