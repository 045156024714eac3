package cli_test

import (
	"strings"
	"syscall"
	"testing"
)

// TestRun_EngineStopped: SIGSTOP, which nobody can catch, stops the engine wherever it is. Unless that
// is inside a transaction, others say that it is alive; a second engine is refused, and after CONT
// all goes on.
func TestRun_EngineStopped(t *testing.T) {
	t.Parallel()
	// Many steps and no checkpoint: the engine commits nothing while the stage is at work.
	p := newProject(t, strings.Replace(slow, "steps: 1000", "steps: 20000", 1))
	b := p.start("run")
	b.await("progress")
	b.signal(syscall.SIGSTOP)
	if !eventually(func() bool { return stopped(b.cmd.Process.Pid) }) {
		t.Fatal("it does not stop")
	}
	if s := p.status(); s.State != "running" || !s.Engine.Alive || s.Stages[0].Outcome != "running" {
		t.Errorf("while it is stopped: %+v", s)
	}
	if code, _, errs := p.run(nil, "resume", b.run); code != 3 {
		t.Errorf("resume: exit %d: %s", code, errs)
	}
	b.signal(syscall.SIGCONT)
	b.await("progress")
	b.signal(syscall.SIGINT)
	if code := b.wait(); code != 130 {
		t.Errorf("exit %d: %s", code, &b.errs)
	}
	p.noProcessLeft()
	p.want(0, "check")
}
