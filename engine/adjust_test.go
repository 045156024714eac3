package engine_test

import (
	"strings"
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

// TestAdjust_IsNotFoundOutAgain: what was done with other parameters, because the stage had failed with
// its own, is reused when it is asked for again, planned or when an earlier stage has ended; forced, it
// is tried as it is written.
func TestAdjust_IsNotFoundOutAgain(t *testing.T) {
	dir := project(t, `
version: 1
name: again
params: { seed: 1 }
stages:
  before: { uses: noop }
  a:
    uses: noop
    retry: { max: 1, backoff: 1ms }
    with: { seed: "${params.seed}", inputs: ["${stages.before.outputs.out}"], fail_times: 1, code: out_of_memory, retry_with: { seed: 2 } }
  b: { uses: noop, with: { seed: 7, inputs: ["${stages.a.outputs.out}"] } }
`)
	h := open(t, dir)
	first := h.run(engine.Selection{}, nil)
	if got := outcomes(first); got != "before=succeeded a=succeeded b=succeeded" || len(first.Stages[1].Attempts) != 2 {
		t.Fatalf("first run: %s", got)
	}
	p := h.plan(engine.Selection{}, nil)
	if got := actions(p); got != "before=reuse a=reuse b=reuse" {
		t.Errorf("planned again: %s", got)
	}
	const how = "done there with with.seed: 1 → 2, as the stage proposed when it had failed"
	if r := p.Stages[1].Reason; !strings.Contains(r, how) {
		t.Errorf("the reason is %q", r)
	}
	for _, force := range [][]string{nil, nil, {"before"}} {
		v := h.run(engine.Selection{Force: force}, nil)
		a := v.Stages[1]
		if a.Outcome != "cached" || a.FromRun != first.Run || len(a.Attempts) != 0 || !strings.Contains(a.Reason, how) || v.Stages[2].Outcome != "cached" {
			t.Errorf("forced %v: %s is %s of run %s after %d attempts: %s", force, a.Instance, a.Outcome, a.FromRun, len(a.Attempts), a.Reason)
		}
	}
	d, err := h.Diff(t.Context(), first.Run, h.run(engine.Selection{}, nil).Run)
	if err != nil || len(d.Params)+len(d.Inputs) > 0 {
		t.Errorf("it is the same work; it differs in %+v, %v", d, err)
	}
	if v := h.run(engine.Selection{Force: []string{"a"}}, nil); len(v.Stages[1].Attempts) != 2 {
		t.Errorf("forced: %+v", v.Stages[1])
	}
	if got := actions(h.plan(engine.Selection{}, map[string]string{"seed": "3"})); got != "before=reuse a=run b=run" {
		t.Errorf("other work: %s", got)
	}
}
