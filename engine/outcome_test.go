package engine_test

import (
	"os"
	"strings"
	"testing"

	"github.com/so8t/so8t/engine"
)

// A stage that runs whatever happened before it is told what did not succeed, and that is part of
// its fingerprint: it runs again when the outcome changes, and is reused when it does not.
func TestRun_AlwaysStageIsToldOutcomes(t *testing.T) {
	h := open(t, project(t, `
version: 1
name: outcomes
params: { works: { type: bool, default: false } }
stages:
  good: { uses: noop }
  skips: { uses: noop, with: { skip: no server } }
  breaks: { uses: noop, with: { fail_at: 1, steps: 2 } }
  after: { uses: noop, needs: breaks, with: { bytes: 77 } }
  last:
    uses: probe
    when: always
    needs: [good, skips, breaks, after]
`), func(o *engine.Options) { o.KeepGoing = true })
	first := h.run(engine.Selection{}, nil)
	path, err := h.LogPath(t.Context(), first.Run, "last", 0)
	if err != nil {
		t.Fatal(err)
	}
	log, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	for _, want := range []string{"outcome.skips = skipped: no server", "outcome.breaks = failed: ", "outcome.after = blocked: breaks"} {
		if !strings.Contains(string(log), want) {
			t.Errorf("the stage is not told %q:\n%s", want, log)
		}
	}
	if strings.Contains(string(log), "outcome.good") {
		t.Errorf("the stage is told of one that succeeded:\n%s", log)
	}
	if second := h.run(engine.Selection{}, nil); !strings.Contains(outcomes(second), "last=cached") {
		t.Errorf("the same outcomes again: %s, because %s", outcomes(second), second.Stages[4].Reason)
	}
}
