package engine_test

import (
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/so8t/so8t/engine"
	"github.com/so8t/so8t/plugins/manifest"
	"github.com/so8t/so8t/state"
)

// TestRepair_DatabaseAndJournalLost: of a run that has lost both, what was done is reused after a repair,
// which says what is lost; a run beside it that has its journal is as it was.
func TestRepair_DatabaseAndJournalLost(t *testing.T) {
	dir := project(t, `
version: 1
name: lost
params: { seed: 1 }
stages:
  a: { uses: noop, with: { seed: "${params.seed}" } }
  B_x: { uses: noop, matrix: { r: [1, 2] }, with: { seed: "${matrix.r}", inputs: ["${stages.a.outputs.out}"] } }
  c: { uses: noop, with: { seed: 3, inputs: "${stages.B_x.outputs.out}" } }
`)
	h := open(t, dir)
	lost := h.run(engine.Selection{}, nil)
	kept := h.run(engine.Selection{}, map[string]string{"seed": "2"})
	if lost.State != "succeeded" || kept.State != "succeeded" {
		t.Fatalf("%s, %s", lost.State, kept.State)
	}
	stateDir := filepath.Join(dir, ".so8t")
	// One stage has no result: what work it was, nobody knows.
	if err := errors.Join(os.Remove(filepath.Join(stateDir, "state.db")), os.Remove(state.JournalPath(stateDir, lost.Run)),
		os.Remove(filepath.Join(state.AttemptDir(stateDir, lost.Run, "c", 1), "result.json"))); err != nil {
		t.Fatal(err)
	}
	after := open(t, dir)
	opts := state.CheckOptions{VerifyAttempt: func(folder string) error {
		_, err := manifest.VerifyOutputs(filepath.Join(folder, "out"), manifest.Contents)
		return err
	}}
	var said []string
	for range 3 { // what one repair brings to light, the next mends
		findings, err := after.CheckState(t.Context(), opts)
		if err != nil {
			t.Fatal(err)
		}
		done, err := after.RepairState(t.Context(), findings)
		if err != nil {
			t.Fatal(err)
		}
		said = append(said, done...)
	}
	if text := strings.Join(said, "\n"); !strings.Contains(text, "records of run "+lost.Run) || !strings.Contains(text, "4 of its stages, the work of 3 can be reused") ||
		!strings.Contains(text, "lost are its workflow") {
		t.Errorf("the repair says\n%s", text)
	}
	findings, err := after.CheckState(t.Context(), opts)
	for _, f := range findings {
		if f.Severity == state.Damage {
			t.Errorf("after the repair: %+v", f)
		}
	}
	if err != nil {
		t.Error(err)
	}
	if v := after.status(kept.Run); outcomes(v) != outcomes(kept) {
		t.Errorf("the run with its journal: %s, before %s", outcomes(v), outcomes(kept))
	}
	v := after.status(lost.Run)
	if len(v.Stages) != 4 || v.Stages[0].Outputs["out"].SHA256 == "" || v.State != "cancelled" {
		t.Errorf("the run without: %s %+v", v.State, v.Stages)
	}
	if _, err := after.Resume(t.Context(), lost.Run, engine.ResumeOptions{}); !errors.Is(err, engine.ErrNothingToResume) {
		t.Errorf("resumed though its workflow is lost: %v", err)
	}
	again := after.run(engine.Selection{}, nil)
	if got, want := outcomes(again), "a=cached B_x[r=1]=cached B_x[r=2]=cached c=succeeded"; got != want {
		t.Errorf("the same workflow: %s, want %s", got, want)
	}
	if again.Stages[0].FromRun != lost.Run {
		t.Errorf("a is from run %s", again.Stages[0].FromRun)
	}
}
