//go:build !unix

package cli

import (
	"os"
	"os/signal"

	"github.com/so8t/so8t/engine"
)

// listen handles Ctrl-C until release is called.
func (h *signalHandler) listen() (release func()) {
	signals := make(chan os.Signal, 8)
	signal.Notify(signals, os.Interrupt)
	done := make(chan struct{})
	go func() {
		for {
			select {
			case <-done:
				return
			case <-signals:
				h.interrupt(engine.SIGINT)
			}
		}
	}()
	return func() {
		signal.Stop(signals)
		close(done)
	}
}
