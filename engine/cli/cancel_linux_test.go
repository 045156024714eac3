package cli_test

import (
	"strings"
	"syscall"
	"testing"
)

// TestCancel: the engine ends the run as cancelled with exit code 130, its stage is interrupted,
// and the run goes on only when it is named.
func TestCancel(t *testing.T) {
	t.Parallel()
	p := newProject(t, slow)
	p.want(2, "cancel")
	b := p.start("run")
	b.await("stage_started")
	p.want(0, "cancel")
	if code := b.wait(); code != 130 {
		t.Errorf("the engine ended with %d: %s", code, &b.errs)
	}
	v := p.status(b.run)
	if v.State != "cancelled" || v.Engine.Alive || v.Stages[0].Outcome != "interrupted" {
		t.Errorf("%+v", v)
	}
	p.noProcessLeft()
	p.want(2, "cancel", b.run)
	if code, _, errs := p.run(nil, "resume"); code != 2 || !strings.Contains(errs, "so8t resume "+b.run) {
		t.Errorf("resume: exit %d: %s", code, errs)
	}
	p.want(0, "check")

	// A request that its engine never saw does not end the run when another goes on with it.
	again := p.start("resume", b.run)
	again.await("stage_started")
	again.signal(syscall.SIGSTOP)
	if code, _, errs := p.run(nil, "cancel", "--timeout", "300ms", b.run); code != 3 {
		t.Errorf("cancel of a stopped engine: exit %d: %s", code, errs)
	}
	again.signal(syscall.SIGKILL)
	again.wait()
	third := p.start("resume", b.run)
	third.await("stage_started")
	third.signal(syscall.SIGTERM)
	if code := third.wait(); code != 143 {
		t.Errorf("exit %d, want 143: the request was for another engine: %s", code, &third.errs)
	}
	p.noProcessLeft()
}
