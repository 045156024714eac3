//go:build unix

package engine_test

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/so8t/so8t/engine"
	"github.com/so8t/so8t/engine/workflow"
)

// TestForeignPlugin: a program of the user's is described, run, and known by the content of its
// files.
func TestForeignPlugin(t *testing.T) {
	self, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	dir := project(t, `
version: 1
name: foreign
stages:
  a: { uses: ./mine.sh, with: { input: so8t.yaml, lora: { r: 4 } } }
`)
	script := func(comment string) {
		t.Helper()
		text := fmt.Sprintf("#!/bin/sh\n# %s\nexec '%s' __stage probe\n", comment, self)
		if err := os.WriteFile(filepath.Join(dir, "mine.sh"), []byte(text), 0o755); err != nil {
			t.Fatal(err)
		}
	}
	script("one")
	h := open(t, dir)
	v := h.run(engine.Selection{}, nil)
	if v.State != "succeeded" || v.Stages[0].Metrics["size"] != 8 {
		t.Fatalf("%s: %+v", v.State, v.Stages[0])
	}
	if got := actions(h.plan(engine.Selection{}, nil)); got != "a=reuse" {
		t.Errorf("the same files: %s", got)
	}
	script("two")
	p := h.plan(engine.Selection{}, nil)
	if got := planLines(p); !strings.HasPrefix(got, "a run: plugin files: sha256:") {
		t.Errorf("another file: %s", got)
	}
	// What the plan knew of the plugin is of no use for another one.
	script("three")
	o, err := h.Run(t.Context(), p, engine.RunOptions{})
	if err != nil {
		t.Fatal(err)
	}
	if a := h.status(o.Run).Stages[0]; a.Outcome != "failed" || a.Error.Code != "bad_input" || !strings.Contains(a.Error.Message, "plugin ./mine.sh changed") {
		t.Errorf("a plugin that changed after the plan: %s, %+v", a.Outcome, a.Error)
	}
}

// TestForeignPlugin_ThatIsNone is found while the workflow is read, with a place and a reason.
func TestForeignPlugin_ThatIsNone(t *testing.T) {
	dir := project(t, "version: 1\nstages:\n  a: { uses: ./rubbish.sh }\n  b: { uses: ./plain.txt }\n  c: { uses: ./nothing }\n")
	for name, mode := range map[string]os.FileMode{"rubbish.sh": 0o755, "plain.txt": 0o644} {
		if err := os.WriteFile(filepath.Join(dir, name), []byte("#!/bin/sh\necho rubbish\n"), mode); err != nil {
			t.Fatal(err)
		}
	}
	_, err := open(t, dir).Load(t.Context(), "so8t.yaml", nil)
	problems, ok := err.(workflow.Problems)
	if !ok || len(problems) != 3 {
		t.Fatalf("error %v, want three problems", err)
	}
	for i, code := range []string{workflow.CodeBadPlugin, workflow.CodeBadPlugin, workflow.CodeUnknownPlugin} {
		if problems[i].Code != code || problems[i].Line != 3+i {
			t.Errorf("problem %d: %+v, want %s in line %d", i, problems[i], code, 3+i)
		}
	}
}

// TestResume_PluginChanged: a run does not go on with another plugin unless it is told to.
func TestResume_PluginChanged(t *testing.T) {
	self, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	dir := project(t, "version: 1\nname: foreign\nstages:\n  a: { uses: ./mine.sh, with: { input: so8t.yaml } }\n")
	script := func(text string) {
		t.Helper()
		if err := os.WriteFile(filepath.Join(dir, "mine.sh"), []byte(text), 0o755); err != nil {
			t.Fatal(err)
		}
	}
	serve := fmt.Sprintf("exec '%s' __stage probe\n", self)
	script("#!/bin/sh\n[ -e broken-now ] && exit 3\n" + serve)
	h := open(t, dir)
	p := h.plan(engine.Selection{}, nil)
	write(t, filepath.Join(dir, "broken-now"), "")
	o, err := h.Run(t.Context(), p, engine.RunOptions{})
	if err != nil || o.State != "failed" {
		t.Fatalf("%+v, %v", o, err)
	}
	script("#!/bin/sh\n" + serve)
	_, err = h.Resume(t.Context(), o.Run, engine.ResumeOptions{})
	changed, ok := err.(*engine.ChangedError)
	if !ok || len(changed.Changes) != 1 || changed.Changes[0].Field != "plugin ./mine.sh" || !strings.Contains(err.Error(), "--accept-changes") {
		t.Fatalf("error %v", err)
	}
	if o, err = h.Resume(t.Context(), o.Run, engine.ResumeOptions{AcceptChanges: true}); err != nil || o.State != "succeeded" {
		t.Errorf("with the changes accepted: %+v, %v", o, err)
	}
}
