package engine

import (
	"context"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/so8t/so8t/plugins"
)

// changingInputs is an engine on a workflow whose stage b reads the user's in.txt, which holds
// "old". during is called in each stage after it has read its inputs.
func changingInputs(t *testing.T, during func(stage, input string)) *Engine {
	t.Helper()
	var input string
	e := contentEngine(t, t.TempDir(), contentStage{run: func(a *plugins.Attempt, _ contentConfig, content string) error {
		during(a.Stage, input)
		return os.WriteFile(filepath.Join(a.OutputDir, "out"), []byte(content), 0o644)
	}})
	input = filepath.Join(e.opts.ProjectDir, "in.txt")
	writeFile(t, input, "old")
	writeFile(t, filepath.Join(e.opts.ProjectDir, "so8t.yaml"), `
version: 1
name: changing
stages:
  a: { uses: fake }
  b: { uses: fake, needs: [a], with: { inputs: [in.txt] } }
`)
	return e
}

func writeFile(t *testing.T, path, text string) {
	t.Helper()
	if err := os.WriteFile(path, []byte(text), 0o644); err != nil {
		t.Fatal(err)
	}
}

func planned(t *testing.T, e *Engine) string {
	t.Helper()
	w, err := e.Load(t.Context(), "so8t.yaml", nil)
	if err != nil {
		t.Fatal(err)
	}
	p, err := e.Plan(t.Context(), w, Selection{})
	if err != nil {
		t.Fatal(err)
	}
	var actions []string
	for _, s := range p.Stages {
		actions = append(actions, s.Instance+"="+string(s.Action))
	}
	return strings.Join(actions, " ")
}

// TestRun_InputChangesBeforeItsStage: what was made of the new content is known by the new content.
func TestRun_InputChangesBeforeItsStage(t *testing.T) {
	e := changingInputs(t, func(stage, input string) {
		if stage == "a" {
			writeFile(t, input, "new")
		}
	})
	v := fakeRun(t, e)
	if v.State != "succeeded" {
		t.Fatalf("%s: %+v", v.State, v.Stages)
	}
	if got := planned(t, e); got != "a=reuse b=reuse" {
		t.Errorf("with the content that b read: %s", got)
	}
	input := filepath.Join(e.opts.ProjectDir, "in.txt")
	writeFile(t, input, "old")
	if got := planned(t, e); got != "a=reuse b=run" {
		t.Errorf("with the content of the plan, which b never read: %s", got)
	}
}

// TestRun_InputChangesWhileItsStageRuns: nobody can tell which content the stage read.
func TestRun_InputChangesWhileItsStageRuns(t *testing.T) {
	e := changingInputs(t, func(stage, input string) {
		if stage == "b" {
			writeFile(t, input, "new")
		}
	})
	v := fakeRun(t, e)
	b := v.Stages[1]
	if b.Outcome != "failed" || b.Error.Code != "bad_input" || !strings.Contains(b.Error.Message, "input in.txt changed while the stage ran; run again") {
		t.Fatalf("b %s: %+v", b.Outcome, b.Error)
	}
	for _, content := range []string{"new", "old"} {
		writeFile(t, filepath.Join(e.opts.ProjectDir, "in.txt"), content)
		if got := planned(t, e); got != "a=reuse b=run" {
			t.Errorf("with content %q: %s", content, got)
		}
	}
}

// TestRun_CheckpointAfterAnInputChanged is not gone on from: not even when the content is what it was.
func TestRun_CheckpointAfterAnInputChanged(t *testing.T) {
	var e *Engine
	resumed := false
	f := &fakeStage{run: func(a *plugins.Attempt) (plugins.Result, error) {
		if resumed = a.Resume != nil; a.Number > 1 {
			return nested(a)
		}
		input := filepath.Join(e.opts.ProjectDir, "in.txt")
		writeFile(t, input, "new")
		err := a.SaveCheckpoint(context.Background(), 3, func(dir string) error {
			return os.WriteFile(filepath.Join(dir, "weights"), []byte("w"), 0o644)
		})
		if err != nil {
			return plugins.Result{}, err
		}
		a.Emit(plugins.Saved{Checkpoint: plugins.Checkpoint{Step: 3, Path: filepath.Join(a.CheckpointDir, "step-000000000003")}})
		writeFile(t, input, "old")
		return plugins.Result{}, plugins.Errorf(plugins.Internal, "once")
	}}
	e = fakeEngine(t, "version: 1\nname: one\nstages:\n  s: { uses: fake, with: { input: in.txt } }\n", f)
	describe := f.Describe()
	describe.With = plugins.SchemaOf(struct {
		Input string `json:"input" format:"path"`
	}{})
	e.opts.Builtins[0].Describe = func() plugins.Description { return describe }
	writeFile(t, filepath.Join(e.opts.ProjectDir, "in.txt"), "old")
	v := fakeRun(t, e)
	if v.Stages[0].Outcome != "failed" || v.Stages[0].Attempts[0].Checkpoint != nil {
		t.Fatalf("%s, checkpoint %+v", v.Stages[0].Outcome, v.Stages[0].Attempts[0].Checkpoint)
	}
	if _, err := e.Resume(t.Context(), v.Run, ResumeOptions{}); err != nil {
		t.Fatal(err)
	}
	if resumed {
		t.Error("the second attempt went on from a checkpoint of other content")
	}
}
