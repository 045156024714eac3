package cli

import (
	"context"
	"fmt"
	"sync/atomic"

	"github.com/so8t/so8t/engine"
)

// signalHandler is what the signals of the terminal and the system do to a command that runs
// stages.
type signalHandler struct {
	engine  *engine.Engine
	control *engine.Control
	// again draws what is shown anew, after the program was stopped and goes on.
	again func()
	// started says that there is a run, which stops by itself when asked; before that, planning is
	// cut off.
	started atomic.Bool
	cancel  context.CancelCauseFunc
}

// interruptedError says that a signal came before a run had started.
type interruptedError struct{ signal engine.Signal }

func (e interruptedError) Error() string {
	return fmt.Sprintf("%s came before anything had started", e.signal)
}

func (h *signalHandler) interrupt(s engine.Signal) {
	h.control.Interrupt(s)
	if !h.started.Load() {
		h.cancel(interruptedError{s})
	}
}

// suspend stops the stages' process groups before this process stops itself: they are groups of
// their own, which the terminal does not reach. Stopped inside a transaction, this process would
// lock everyone else out of the state.
func (h *signalHandler) suspend(stopSelf func()) {
	h.control.Suspend()
	h.engine.Quiet(stopSelf)
}

func (h *signalHandler) resume() {
	h.control.Continue()
	h.again()
}
