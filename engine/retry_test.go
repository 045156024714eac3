//go:build linux

package engine_test

import (
	"syscall"
	"testing"

	"github.com/so8t/so8t/engine"
)

// TestRun_InterruptedBetweenTries_ResumesAtOnce: a wait ends with a signal, is not waited out after a
// resume, which has all its tries again, and keeps what the stage proposed.
func TestRun_InterruptedBetweenTries_ResumesAtOnce(t *testing.T) {
	dir := project(t, `
version: 1
stages:
  a: { uses: noop, retry: { max: 1, backoff: 24h }, with: { seed: 1, fail_times: 2, code: out_of_memory, retry_with: { seed: 2 } } }
`)
	b := startEngine(t, "run", dir)
	if e := b.await(engine.StageEnded, "a"); e["retry_s"] != 86400.0 {
		t.Fatalf("event %v", e)
	}
	b.signal(syscall.SIGINT)
	if code := b.wait(); code != 130 {
		t.Fatalf("exit %d: %s", code, b.errs)
	}
	h := open(t, dir)
	if v := h.status(b.run); v.State != "interrupted" || outcomes(v) != "a=interrupted" {
		t.Fatalf("%s, %s", v.State, outcomes(v))
	}
	// The second attempt fails as well, and its wait is cut short by a kill.
	b = startEngine(t, "resume:"+b.run, dir)
	b.await(engine.StageEnded, "a")
	b.signal(syscall.SIGKILL)
	b.wait()
	o, err := h.Resume(t.Context(), b.run, engine.ResumeOptions{})
	if err != nil {
		t.Fatal(err)
	}
	v := h.status(o.Run)
	if v.State != "succeeded" || len(v.Stages[0].Attempts) != 3 {
		t.Fatalf("%s, %+v", v.State, v.Stages[0])
	}
	for i, want := range []string{"", "2", "2"} {
		if got := string(v.Stages[0].Attempts[i].Adjusted["seed"]); got != want {
			t.Errorf("attempt %d was made with seed %q, want %q", i+1, got, want)
		}
	}
	checkClean(t, dir)
}
