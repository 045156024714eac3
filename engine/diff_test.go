package engine_test

import (
	"path/filepath"
	"strings"
	"testing"

	"github.com/so8t/so8t/engine"
)

// fieldsOf are the parameters that differ, in one line.
func fieldsOf(d *engine.DiffView) string {
	var fields []string
	for _, p := range d.Params {
		fields = append(fields, p.Field+" "+string(p.A)+" → "+string(p.B))
	}
	return strings.Join(fields, ", ")
}

// TestDiff_WhatAParamExplains is told once. A field that somebody else changed from and to the same
// values is told as well.
func TestDiff_WhatAParamExplains(t *testing.T) {
	const yaml = `
version: 1
name: one
params: { n: 1 }
stages:
  a: { uses: noop, with: { seed: "${params.n}" } }
  b: { uses: noop, with: { steps: 1, inputs: ["${stages.a.outputs.out}"] } }
`
	dir := project(t, yaml)
	h := open(t, dir)
	first := h.run(engine.Selection{}, nil).Run
	param := h.run(engine.Selection{}, map[string]string{"n": "2"}).Run
	rerun, err := h.Rerun(t.Context(), param, "b", engine.RerunOptions{With: map[string]string{"steps": "2"}})
	if err != nil {
		t.Fatal(err)
	}
	write(t, filepath.Join(dir, "so8t.yaml"), strings.NewReplacer("steps: 1", "steps: 2", "name: one", "name: two").Replace(yaml))
	edited := h.run(engine.Selection{}, map[string]string{"n": "2"}).Run
	for _, c := range []struct{ with, want, workflow string }{
		{param, "n 1 → 2", "one"},
		{rerun.Run, "n 1 → 2, a.with.seed 1 → 2, b.with.steps 1 → 2", "one"},
		{edited, "n 1 → 2, a.with.seed 1 → 2, b.with.steps 1 → 2", "two"},
	} {
		d, err := h.Diff(t.Context(), first, c.with)
		if err != nil {
			t.Fatal(err)
		}
		if got := fieldsOf(d); got != c.want || d.WorkflowA != "one" || d.WorkflowB != c.workflow {
			t.Errorf("%s, %s, want %s, %s", got, d.WorkflowB, c.want, c.workflow)
		}
	}
}
