//go:build linux

package engine_test

import (
	"bufio"
	"encoding/json"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"

	"github.com/so8t/so8t/engine"
	"github.com/so8t/so8t/state"
)

const slow = `
version: 1
name: slow
params: { duration: { type: duration, default: 30s } }
stages:
  a: { uses: noop, with: { seed: 1, trace: trace } }
  b: { uses: noop, with: { seed: 2, steps: 300, duration: "${params.duration}", checkpoint_every: 3, trace: trace, inputs: ["${stages.a.outputs.out}"] } }
`

// background is an engine in a process of its own whose events are read one by one.
type background struct {
	t     *testing.T
	cmd   *exec.Cmd
	lines *bufio.Scanner
	errs  *strings.Builder
	run   string
}

func startEngine(t *testing.T, verb, dir string) *background {
	t.Helper()
	b := &background{t: t, cmd: exec.Command(os.Args[0], "__engine", verb, dir), errs: &strings.Builder{}}
	b.cmd.Dir = dir // where a stage that has nothing to do yet is found too
	b.cmd.Stderr = b.errs
	out, err := b.cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := b.cmd.Start(); err != nil {
		t.Fatal(err)
	}
	b.lines = bufio.NewScanner(out)
	t.Cleanup(func() {
		_ = b.cmd.Process.Kill()
		_, _ = io.Copy(io.Discard, out)
		_ = b.cmd.Wait()
	})
	return b
}

// await reads events until one of a kind comes for an instance.
func (b *background) await(kind engine.EventKind, instance string) map[string]any {
	b.t.Helper()
	for b.lines.Scan() {
		var e map[string]any
		if err := json.Unmarshal(b.lines.Bytes(), &e); err != nil {
			b.t.Fatalf("line %q: %v", b.lines.Text(), err)
		}
		b.run, _ = e["run"].(string)
		if e["event"] == string(kind) && (instance == "" || e["instance"] == instance) {
			return e
		}
	}
	b.t.Fatalf("the engine ended before %s of %s: %s", kind, instance, b.errs)
	return nil
}

func (b *background) signal(s syscall.Signal) {
	b.t.Helper()
	if err := b.cmd.Process.Signal(s); err != nil {
		b.t.Fatal(err)
	}
}

// wait reads the rest and returns the exit code.
func (b *background) wait() int {
	for b.lines.Scan() {
	}
	_ = b.cmd.Wait()
	return b.cmd.ProcessState.ExitCode()
}

// fast makes the slow workflow end at once: the duration is in no fingerprint.
var fast = map[string]string{"duration": "0s"}

func TestRun_Interrupted_ChecksPointsAndResumes(t *testing.T) {
	dir := project(t, slow)
	b := startEngine(t, "run", dir)
	b.await(engine.Saved, "b")
	b.signal(syscall.SIGINT)
	if code := b.wait(); code != 130 {
		t.Fatalf("exit %d: %s", code, b.errs)
	}
	h := open(t, dir)
	v := h.status(b.run)
	if v.State != "interrupted" || outcomes(v) != "a=succeeded b=interrupted" {
		t.Fatalf("%s, %s", v.State, outcomes(v))
	}
	saved := v.Stages[1].Attempts[0].Checkpoint
	if saved == nil || saved.Step < 3 {
		t.Fatalf("checkpoint %+v", saved)
	}
	noProcessLeft(t, dir)

	// A new run of the same work continues too, from the other run's checkpoint.
	again := h.run(engine.Selection{}, fast)
	from := again.Stages[1].Attempts[0].ResumedFrom
	if outcomes(again) != "a=cached b=succeeded" || from == nil || from.Run != b.run || from.Step != saved.Step {
		t.Errorf("new run: %s, resumed from %+v, want step %d of run %s", outcomes(again), from, saved.Step, b.run)
	}
}

func TestResume_KeepsTheIDAndWhatIsDone(t *testing.T) {
	dir := project(t, slow)
	b := startEngine(t, "run", dir)
	b.await(engine.Saved, "b")
	b.signal(syscall.SIGKILL)
	b.wait()
	h := open(t, dir)
	v := h.status(b.run)
	if v.State != "interrupted" || v.Engine.Alive || outcomes(v) != "a=succeeded b=interrupted" {
		t.Fatalf("right after the kill: %s, %s", v.State, outcomes(v))
	}
	noProcessLeft(t, dir)
	step := v.Stages[1].Attempts[0].Checkpoint.Step

	// The duration changes no bytes, so editing it is no change of the workflow.
	write(t, filepath.Join(dir, "so8t.yaml"), strings.Replace(slow, "default: 30s", "default: 0s", 1))
	o, err := h.Resume(t.Context(), "", engine.ResumeOptions{})
	if err != nil {
		t.Fatal(err)
	}
	v = h.status(o.Run)
	if o.Run != b.run || v.State != "succeeded" || outcomes(v) != "a=succeeded b=succeeded" {
		t.Errorf("resumed run %s: %s, %s", o.Run, v.State, outcomes(v))
	}
	attempts := v.Stages[1].Attempts
	if len(attempts) != 2 || attempts[0].Outcome != "interrupted" || attempts[1].ResumedFrom == nil || attempts[1].ResumedFrom.Step < step {
		t.Errorf("attempts %+v", attempts)
	}
	if got := strings.Count(trace(t, dir), "a start"); got != 1 {
		t.Errorf("stage a ran %d times", got)
	}
	if _, err := h.Resume(t.Context(), "", engine.ResumeOptions{}); err == nil {
		t.Error("there was something to resume")
	}
	checkClean(t, dir)
}

func TestRun_InterruptedTwice_IsKilled(t *testing.T) {
	dir := project(t, "version: 1\nstages:\n  a: { uses: probe, with: { input: so8t.yaml, stubborn: true } }\n")
	b := startEngine(t, "run", dir)
	b.await(engine.Progressed, "a")
	b.signal(syscall.SIGINT)
	b.await(engine.Warned, "a") // it was asked, and says that it will not
	b.signal(syscall.SIGINT)
	if code := b.wait(); code != 130 {
		t.Fatalf("exit %d: %s", code, b.errs)
	}
	if v := open(t, dir).status(b.run); v.State != "interrupted" || outcomes(v) != "a=interrupted" {
		t.Errorf("%s, %s", v.State, outcomes(v))
	}
	noProcessLeft(t, dir)
}

func TestResume_SecondEngineNamesTheFirst(t *testing.T) {
	dir := project(t, slow)
	b := startEngine(t, "run", dir)
	b.await(engine.StageStarted, "b")
	h := open(t, dir)
	if v := h.status(b.run); v.State != "running" || !v.Engine.Alive || v.Engine.PID != b.cmd.Process.Pid {
		t.Errorf("status of a live run: %s, %+v", v.State, v.Engine)
	}
	_, err := h.Resume(t.Context(), b.run, engine.ResumeOptions{})
	held, ok := err.(*engine.RunHeldError)
	if !ok || held.PID != b.cmd.Process.Pid {
		t.Errorf("error %v, want one that names pid %d", err, b.cmd.Process.Pid)
	}
	if _, alive, err := state.Query(h.StateDir(), b.run); !alive || err != nil {
		t.Errorf("the first engine is alive %v, error %v", alive, err)
	}
}

// TestRun_TwoRunsOfTheSameWork_SecondWaitsAndReuses: the first engine works on b, the second must
// wait for it and do nothing itself.
func TestRun_TwoRunsOfTheSameWork_SecondWaitsAndReuses(t *testing.T) {
	dir := project(t, strings.Replace(slow, "default: 30s", "default: 2s", 1))
	first := startEngine(t, "run", dir)
	first.await(engine.StageStarted, "b")
	second := startEngine(t, "run", dir)
	warned := second.await(engine.Warned, "b")
	if text, _ := warned["message"].(string); !strings.Contains(text, first.run) {
		t.Errorf("it waits and says %q, without the run %s it waits for", text, first.run)
	}
	if code := first.wait(); code != 0 {
		t.Fatalf("first: exit %d: %s", code, first.errs)
	}
	if code := second.wait(); code != 0 {
		t.Fatalf("second: exit %d: %s", code, second.errs)
	}
	v := open(t, dir).status(second.run)
	if outcomes(v) != "a=cached b=cached" || v.Stages[1].FromRun != first.run {
		t.Errorf("second run: %s from %s", outcomes(v), v.Stages[1].FromRun)
	}
	if got := strings.Count(trace(t, dir), "b start"); got != 1 {
		t.Errorf("stage b ran %d times", got)
	}
}
