package engine_test

import (
	"syscall"
	"testing"

	"github.com/so8t/so8t/engine"
)

// TestKill_ProcessStartedAhead: an engine that is killed leaves no process that waits for its stage.
func TestKill_ProcessStartedAhead(t *testing.T) {
	dir := project(t, "version: 1\nname: ahead\nstages:\n  a: { uses: noop, with: { duration: 5m, steps: 3000 } }\n"+
		"  b: { uses: noop, needs: [a], with: { seed: 2 } }\n")
	b := startEngine(t, "run", dir)
	for len(processesOf(t, dir)) < 3 { // the engine and two stages
		b.await(engine.Progressed, "a")
	}
	b.signal(syscall.SIGKILL)
	b.wait()
	noProcessLeft(t, dir)
}
