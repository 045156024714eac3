package engine_test

import (
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/so8t/so8t/engine"
	"github.com/so8t/so8t/engine/workflow"
)

// interruptAt is an engine on dir whose run is interrupted when the stage has started.
func interruptAt(t *testing.T, dir, stage string) (*harness, *engine.Control) {
	t.Helper()
	control := engine.NewControl()
	h := open(t, dir, func(o *engine.Options) {
		listen := o.Listener
		o.Listener = func(e engine.Event) {
			listen(e)
			if e.Kind == engine.StageStarted && e.Instance == stage {
				control.Interrupt(engine.SIGINT)
			}
		}
	})
	return h, control
}

const pausing = `
version: 1
name: slow
stages:
  a: { uses: noop, with: { seed: 1, trace: trace } }
  b: { uses: noop, with: { seed: 2, duration: 2s, trace: trace, inputs: ["${stages.a.outputs.out}"] } }
  c: { uses: noop, with: { seed: 3, inputs: ["${stages.b.outputs.out}"] } }
`

// quick makes a stage of pausing quick, which changes nothing that it makes.
func quick(text string) string { return strings.Replace(text, "2s", "0s", 1) }

// TestResume_OfARerun goes on with what the rerun changed, on what it took from the other run.
func TestResume_OfARerun(t *testing.T) {
	dir := project(t, quick(pausing))
	first := open(t, dir).run(engine.Selection{}, nil)
	want, err := open(t, dir).Rerun(t.Context(), first.Run, "b", engine.RerunOptions{With: map[string]string{"seed": "7"}})
	if err != nil {
		t.Fatal(err)
	}
	h, control := interruptAt(t, dir, "b")
	o, err := h.Rerun(t.Context(), first.Run, "b", engine.RerunOptions{With: map[string]string{"seed": "7", "duration": "2s"}, Control: control})
	if err != nil {
		t.Fatal(err)
	}
	if got := outcomes(h.status(o.Run)); o.State != "interrupted" || got != "a=cached b=interrupted c=skipped" {
		t.Fatalf("%s: %s", o.State, got)
	}
	// Neither the file nor a newer run of what is above is what was rerun.
	h = open(t, dir)
	h.run(engine.Selection{Only: []string{"a"}, ForceAll: true}, nil)
	write(t, filepath.Join(dir, "so8t.yaml"), strings.Replace(quick(pausing), "seed: 1", "seed: 11", 1))
	o, err = h.Resume(t.Context(), o.Run, engine.ResumeOptions{})
	if err != nil {
		t.Fatal(err)
	}
	v := h.status(o.Run)
	if got := outcomes(v); got != "a=cached b=succeeded c=skipped" || v.Stages[0].FromRun != first.Run {
		t.Errorf("%s, a from %s, want it from %s", got, v.Stages[0].FromRun, first.Run)
	}
	if v.Stages[1].Outputs["out"].SHA256 != h.status(want.Run).Stages[1].Outputs["out"].SHA256 {
		t.Error("b did not run with the seed of the rerun")
	}
}

// TestResume_OfAForcedRun: what was forced once is done.
func TestResume_OfAForcedRun(t *testing.T) {
	dir := project(t, quick(pausing))
	open(t, dir).run(engine.Selection{}, nil)
	write(t, filepath.Join(dir, "so8t.yaml"), pausing)
	h, control := interruptAt(t, dir, "b")
	o, err := h.Run(t.Context(), h.plan(engine.Selection{ForceAll: true}, nil), engine.RunOptions{Control: control})
	if err != nil {
		t.Fatal(err)
	}
	if got := outcomes(h.status(o.Run)); got != "a=succeeded b=interrupted c=pending" {
		t.Fatal(got)
	}
	write(t, filepath.Join(dir, "so8t.yaml"), quick(pausing))
	h = open(t, dir)
	if o, err = h.Resume(t.Context(), o.Run, engine.ResumeOptions{}); err != nil {
		t.Fatal(err)
	}
	v := h.status(o.Run)
	if got := outcomes(v); got != "a=succeeded b=succeeded c=succeeded" {
		t.Error(got)
	}
	for i, want := range []int{1, 2, 1} {
		if got := len(v.Stages[i].Attempts); got != want {
			t.Errorf("stage %s has %d attempts, want %d", v.Stages[i].Instance, got, want)
		}
	}
}

// TestLoad_EndlessFile: no more of a file is read than shows that it is too large.
// TestResume_SaysThatJudgementsChanged: neither `when` nor gates are in a fingerprint, and they decide
// about what is left of a run.
func TestResume_SaysThatJudgementsChanged(t *testing.T) {
	const before = `
version: 1
params: { cap: { type: float, default: 0.9 }, go: { type: bool, default: true } }
stages:
  a: { uses: noop, with: { seed: 1, metrics: { accuracy: 0.83 } }, gates: [accuracy > 0.5] }
  b: { uses: noop, with: { duration: 2s, inputs: ["${stages.a.outputs.out}"] }, when: params.go, gates: [] }
  c: { uses: noop, with: { metrics: { accuracy: 0.83 } }, needs: b, gates: [accuracy < params.cap] }
`
	dir := project(t, before)
	h, control := interruptAt(t, dir, "b")
	v, err := h.Run(t.Context(), h.plan(engine.Selection{}, nil), engine.RunOptions{Control: control})
	if err != nil {
		t.Fatal(err)
	}
	for _, c := range []struct{ old, new, want string }{
		{"accuracy > 0.5", "accuracy > 0.6", `stages.a.gates[0]: "accuracy > 0.5" → "accuracy > 0.6"`},
		{"accuracy > 0.5", "accuracy > 0.5, accuracy < 2", `stages.a.gates[1]: absent → "accuracy < 2"`},
		{"gates: [accuracy > 0.5]", "gates: []", `stages.a.gates[0]: "accuracy > 0.5" → absent`},
		{"when: params.go", "when: not params.go", `stages.b.when: "params.go" → "not params.go"`},
		{"when: params.go", "when: always", `stages.b.when: "params.go" → "always"`},
		{"needs: b,", "needs: b, when: always,", `stages.c.when: "success" → "always"`},
		{"default: 0.9", "default: 0.95", `stages.c.gates[0] params.cap: 0.9 → 0.95`},
	} {
		text := strings.Replace(before, c.old, c.new, 1)
		write(t, filepath.Join(dir, "so8t.yaml"), text)
		_, err := open(t, dir).Resume(t.Context(), v.Run, engine.ResumeOptions{})
		changed, ok := errors.AsType[*engine.ChangedError](err)
		if !ok || !strings.Contains(err.Error(), c.want) {
			t.Errorf("%s: %v, want %s", c.new, err, c.want)
		}
		if ok && !strings.Contains(c.want, "params.go") && len(changed.Changes) != 1 {
			t.Errorf("%s: %v", c.new, err)
		}
	}
	write(t, filepath.Join(dir, "so8t.yaml"), strings.Replace(quick(before), "accuracy > 0.5", "accuracy > 0.6", 1))
	o, err := open(t, dir).Resume(t.Context(), v.Run, engine.ResumeOptions{AcceptChanges: true})
	if err != nil || o.State != "succeeded" {
		t.Errorf("%+v %v", o, err)
	}
}

func TestLoad_EndlessFile(t *testing.T) {
	dir := project(t, strings.Replace(quick(pausing), "seed: 2", "seed: 2, code: internal", 1))
	h := open(t, dir)
	v := h.run(engine.Selection{}, nil)
	file := filepath.Join(dir, "so8t.yaml")
	if err := os.Truncate(file, 1<<40); err != nil { // holes: more than any memory, no space on disk
		t.Skipf("the file system has no files with holes: %v", err)
	}
	_, err := h.Load(t.Context(), "so8t.yaml", nil)
	wantTooLarge(t, err)
	_, err = h.Resume(t.Context(), v.Run, engine.ResumeOptions{})
	wantTooLarge(t, err)
}

func wantTooLarge(t *testing.T, err error) {
	t.Helper()
	problems, ok := errors.AsType[workflow.Problems](err)
	if !ok || len(problems) != 1 || problems[0].Code != workflow.CodeTooLarge {
		t.Errorf("error %v, want %s", err, workflow.CodeTooLarge)
	}
}

// TestResume_ForcedAndRefused: what a run was told to make again and a gate refused is judged again, not made
// a third time.
func TestResume_ForcedAndRefused(t *testing.T) {
	dir := project(t, "version: 1\nstages: {a: {uses: noop}}\n")
	gated(t, dir, "accuracy > 0.9", "")
	h := open(t, dir)
	first := h.run(engine.Selection{Force: []string{"a"}}, nil)
	if first.State != "failed" {
		t.Fatal(outcomes(first))
	}
	for _, gate := range []string{"accuracy > 0.9", "accuracy > 0.8"} {
		gated(t, dir, gate, "")
		if _, err := h.Resume(t.Context(), first.Run, engine.ResumeOptions{AcceptChanges: true}); err != nil {
			t.Fatal(err)
		}
		if v := h.status(first.Run); (v.State == "succeeded") != (gate == "accuracy > 0.8") {
			t.Errorf("gate %s: %s", gate, outcomes(v))
		}
	}
	if got := starts(t, dir); got != 1 {
		t.Errorf("made %d times", got)
	}
}

func starts(t *testing.T, dir string) int {
	t.Helper()
	text, err := os.ReadFile(filepath.Join(dir, "trace.txt"))
	if err != nil {
		t.Fatal(err)
	}
	return strings.Count(string(text), "start")
}
