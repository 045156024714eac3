package engine_test

import (
	"bytes"
	"errors"
	"path/filepath"
	"strings"
	"testing"

	"github.com/so8t/so8t/engine"
	"github.com/so8t/so8t/engine/workflow"
)

func TestRerun(t *testing.T) {
	dir := project(t, chain)
	h := open(t, dir)
	first := h.run(engine.Selection{}, nil)
	// The file may change: a rerun is of the recorded workflow.
	write(t, filepath.Join(dir, "so8t.yaml"), "version: 1\nstages: { other: { uses: noop } }\n")
	o, err := h.Rerun(t.Context(), first.Run, "b", engine.RerunOptions{})
	if err != nil {
		t.Fatal(err)
	}
	v := h.status(o.Run)
	if outcomes(v) != "a=cached b=succeeded c=skipped" || v.Parent != first.Run || v.Stages[1].Outputs["out"].SHA256 != first.Stages[1].Outputs["out"].SHA256 {
		t.Errorf("rerun: %s, parent %q", outcomes(v), v.Parent)
	}
	o, err = h.Rerun(t.Context(), first.Run, "b", engine.RerunOptions{With: map[string]string{"seed": "77"}, Downstream: true})
	if err != nil {
		t.Fatal(err)
	}
	v = h.status(o.Run)
	if outcomes(v) != "a=cached b=succeeded c=succeeded" || v.Stages[1].Outputs["out"].SHA256 == first.Stages[1].Outputs["out"].SHA256 {
		t.Errorf("rerun with another seed and what is below: %s", outcomes(v))
	}
	if _, err := h.Rerun(t.Context(), first.Run, "nope", engine.RerunOptions{}); err == nil || !strings.Contains(err.Error(), "no stage") {
		t.Errorf("rerun of no stage: %v", err)
	}
}

// TestRerun_WithIsCheckedBySchema, as the workflow's own with is.
func TestRerun_WithIsCheckedBySchema(t *testing.T) {
	h := open(t, project(t, chain))
	first := h.run(engine.Selection{}, nil)
	for field, test := range map[string]struct{ text, want string }{
		"sed": {"1", `unknown key "sed" in with`}, "seed": {"many", "with.seed wants an int"},
		"steps": {"-1", "with.steps must be 0 or more"}, "exit": {"256", "with.exit must be 255 or less"},
	} {
		_, err := h.Rerun(t.Context(), first.Run, "b", engine.RerunOptions{With: map[string]string{field: test.text}})
		if _, ok := errors.AsType[workflow.Problems](err); !ok || !strings.Contains(err.Error(), test.want) {
			t.Errorf("rerun with %s=%s: %v", field, test.text, err)
		}
	}
	if runs, err := h.Runs(t.Context(), engine.RunsFilter{}); err != nil || len(runs.Runs) != 1 {
		t.Errorf("a rerun that was refused left a run: %+v, %v", runs, err)
	}
}

func TestMetrics_ACurveIsPutTogetherFromAttempts(t *testing.T) {
	h := open(t, project(t, `
version: 1
name: curves
stages:
  a: { uses: curve, retry: { max: 1, backoff: 1ms } }
`))
	v := h.run(engine.Selection{}, nil)
	if v.State != "succeeded" || len(v.Stages[0].Attempts) != 2 {
		t.Fatalf("%s: %+v", v.State, v.Stages)
	}
	want := [][2]float64{{1, 10}, {2, 20}, {3, 30}, {4, 40}}
	check := func(run string) {
		t.Helper()
		m, err := h.Metrics(t.Context(), run, "")
		if err != nil {
			t.Fatal(err)
		}
		got := m.Stages["a"].Series["loss"]
		if len(got) != len(want) {
			t.Fatalf("curve %v, want %v: the first attempt's points after the checkpoint were made again", got, want)
		}
		for i := range want {
			if got[i] != want[i] {
				t.Fatalf("curve %v, want %v", got, want)
			}
		}
		if m.Stages["a"].Final["loss"] != 40 {
			t.Errorf("final %v", m.Stages["a"].Final)
		}
	}
	check(v.Run)
	again := h.run(engine.Selection{}, nil)
	if outcomes(again) != "a=cached" {
		t.Fatal(outcomes(again))
	}
	check(again.Run)
	path, err := h.LogPath(t.Context(), again.Run, "a", 0)
	if err != nil || !strings.Contains(path, v.Run) {
		t.Errorf("log of a reused stage %q, error %v", path, err)
	}
}

// TestResume_SaysWhatChanged: a run goes on with what it was started with, or the user says so.
func TestResume_SaysWhatChanged(t *testing.T) {
	const text = `
version: 1
name: changed
params: { seed: { type: int, default: 5 } }
stages:
  a: { uses: noop, with: { seed: 1, trace: trace } }
  b: { uses: noop, with: { seed: "${params.seed}", fail_at: 1, inputs: ["${stages.a.outputs.out}"] } }
`
	dir := project(t, text)
	h := open(t, dir)
	v := h.run(engine.Selection{}, nil)
	if outcomes(v) != "a=succeeded b=failed" {
		t.Fatal(outcomes(v))
	}
	file := filepath.Join(dir, "so8t.yaml")
	write(t, file, strings.Replace(text, "default: 5", "default: 6", 1))
	_, err := h.Resume(t.Context(), v.Run, engine.ResumeOptions{})
	changed, ok := err.(*engine.ChangedError)
	if !ok || len(changed.Changes) != 1 || changed.Changes[0].String() != "stages.b.with.seed: 5 → 6" {
		t.Fatalf("resume of a changed workflow: %v", err)
	}
	if v = h.status(v.Run); v.State != "failed" {
		t.Errorf("the run that was not resumed is %s", v.State)
	}
	// Neither a comment nor what changes no bytes is a change, and the mistake can be mended.
	write(t, file, "# mended\n"+strings.Replace(text, "fail_at: 1", "fail_at: 0", 1))
	o, err := h.Resume(t.Context(), v.Run, engine.ResumeOptions{})
	if err != nil {
		t.Fatal(err)
	}
	if got := outcomes(h.status(o.Run)); o.Run != v.Run || got != "a=succeeded b=succeeded" {
		t.Errorf("resumed: %s", got)
	}
	if got := strings.Count(trace(t, dir), "a start"); got != 1 {
		t.Errorf("stage a ran %d times", got)
	}
}

func TestResume_AcceptChanges(t *testing.T) {
	dir := project(t, strings.Replace(chain, "seed: 3", "seed: 3, code: internal", 1))
	h := open(t, dir)
	v := h.run(engine.Selection{}, nil)
	write(t, filepath.Join(dir, "so8t.yaml"), strings.Replace(chain, "seed: 2", "seed: 22", 1))
	o, err := h.Resume(t.Context(), "", engine.ResumeOptions{AcceptChanges: true})
	if err != nil {
		t.Fatal(err)
	}
	now := h.status(o.Run)
	if o.Run != v.Run || now.State != "succeeded" || outcomes(now) != "a=succeeded b=succeeded c=succeeded" {
		t.Errorf("%s: %s", now.State, outcomes(now))
	}
	if now.Stages[1].Outputs["out"].SHA256 == v.Stages[1].Outputs["out"].SHA256 || len(now.Stages[1].Attempts) != 2 {
		t.Errorf("stage b did not run again with the new seed: %+v", now.Stages[1].Attempts)
	}
}

const fromFile = `
version: 1
name: t
stages:
  a: { uses: noop, with: { inputs: [rows] } }
  b: { uses: noop, with: { inputs: ["${stages.a.outputs.out}"] } }
`

// TestRerun_InputsChangedSince: what a rerun takes from the run is known as the work of what that read,
// not of what is there now.
func TestRerun_InputsChangedSince(t *testing.T) {
	dir := project(t, fromFile)
	write(t, filepath.Join(dir, "rows"), "old")
	h := open(t, dir)
	first := h.run(engine.Selection{}, nil)
	write(t, filepath.Join(dir, "rows"), "new")
	second := h.run(engine.Selection{}, nil)
	o, err := h.Rerun(t.Context(), first.Run, "b", engine.RerunOptions{})
	if err != nil {
		t.Fatal(err)
	}
	// In a project that knows nothing else, and where the input is the new one.
	var archive bytes.Buffer
	if err := h.Export(t.Context(), o.Run, &archive, engine.ExportOptions{Artifacts: true}); err != nil {
		t.Fatal(err)
	}
	there := project(t, fromFile)
	write(t, filepath.Join(there, "rows"), "new")
	h = open(t, there)
	if _, err := h.Import(t.Context(), &archive); err != nil {
		t.Fatal(err)
	}
	v := h.run(engine.Selection{}, nil)
	if got, want := v.Stages[0].Outputs["out"].SHA256, second.Stages[0].Outputs["out"].SHA256; got != want {
		t.Errorf("%s: the output of a is %s, want %s", outcomes(v), got, want)
	}
}

// TestRerun_ThenFrozen: what was rerun below a stage changes nothing of what the stage last made.
func TestRerun_ThenFrozen(t *testing.T) {
	dir := project(t, fromFile)
	write(t, filepath.Join(dir, "rows"), "old")
	h := open(t, dir)
	first := h.run(engine.Selection{}, nil)
	write(t, filepath.Join(dir, "rows"), "new")
	if _, err := h.Rerun(t.Context(), first.Run, "b", engine.RerunOptions{}); err != nil {
		t.Fatal(err)
	}
	write(t, filepath.Join(dir, "so8t.yaml"), strings.Replace(fromFile, "a: {", "a: { frozen: true,", 1))
	if p := h.plan(engine.Selection{}, nil); actions(p) != "a=reuse b=reuse" {
		t.Errorf("%s: %s", actions(p), p.Stages[0].Reason)
	}
}
