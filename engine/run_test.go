package engine_test

import (
	"testing"

	"github.com/so8t/so8t/engine"
)

const chain = `
version: 1
name: chain
params:
  seed: { type: int, default: 1 }
stages:
  a: { uses: noop, with: { seed: "${params.seed}" } }
  b: { uses: noop, with: { seed: 2, inputs: ["${stages.a.outputs.out}"] } }
  c: { uses: noop, with: { seed: 3, inputs: ["${stages.b.outputs.out}"] } }
`

func TestRun_ThenAgain_EverythingIsCached(t *testing.T) {
	h := open(t, project(t, chain))
	first := h.run(engine.Selection{}, nil)
	if got, want := outcomes(first), "a=succeeded b=succeeded c=succeeded"; got != want {
		t.Fatalf("first run: %s, want %s", got, want)
	}
	second := h.run(engine.Selection{}, nil)
	if got, want := outcomes(second), "a=cached b=cached c=cached"; got != want {
		t.Fatalf("second run: %s, want %s", got, want)
	}
	for i, s := range second.Stages {
		if s.FromRun != first.Run || s.Outputs["out"] != first.Stages[i].Outputs["out"] {
			t.Errorf("stage %s: from run %q with outputs %v", s.Instance, s.FromRun, s.Outputs)
		}
	}
}
