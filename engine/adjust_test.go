package engine_test

import (
	"testing"

	"github.com/so8t/so8t/engine"
)

const adjusting = `
version: 1
name: adjusting
params: { seed: 1, least: { type: float, default: 0.1 } }
stages:
  a:
    uses: noop
    retry: { max: 1, backoff: 1ms }
    gates: ["accuracy > params.least"]
    with: { seed: "${params.seed}", trace: trace, metrics: { accuracy: 0.5 }, fail_times: 1, code: out_of_memory, retry_with: { seed: 2 } }
`

// TestAdjust_LeadsToWhatIsDone: the proposed parameters are those of work that is done, which is
// reused, and judged by the gates as they are now.
func TestAdjust_LeadsToWhatIsDone(t *testing.T) {
	dir := project(t, adjusting)
	h := open(t, dir)
	first := h.run(engine.Selection{}, map[string]string{"seed": "2"})
	if first.State != "succeeded" {
		t.Fatalf("%s: %+v", first.State, first.Stages)
	}
	v := h.run(engine.Selection{}, map[string]string{"seed": "1"})
	if s := v.Stages[0]; v.State != "succeeded" || s.Outcome != "cached" || s.FromRun != first.Run || s.Error != nil || len(s.Attempts) != 1 {
		t.Errorf("%s: %+v", v.State, s)
	}
	v = h.run(engine.Selection{}, map[string]string{"seed": "1", "least": "0.9"})
	if s := v.Stages[0]; v.State != "failed" || s.Outcome != "failed" || s.Error == nil || s.Error.Code != "gate" {
		t.Errorf("a result that the gate refuses: %s, %+v", v.State, s)
	}
}
