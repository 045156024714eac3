package engine_test

import (
	"path/filepath"
	"strings"
	"testing"

	"github.com/so8t/so8t/engine"
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
	for stage, with := range map[string]map[string]string{"nope": nil, "b": {"sed": "1"}} {
		if _, err := h.Rerun(t.Context(), first.Run, stage, engine.RerunOptions{With: with}); err == nil || !strings.Contains(err.Error(), "no ") {
			t.Errorf("rerun of %s with %v: %v", stage, with, err)
		}
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
