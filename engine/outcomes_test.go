package engine_test

import (
	"strings"
	"testing"

	"github.com/so8t/so8t/engine"
)

// TestRun_Outcomes is the table of what failures and skips mean to others.
func TestRun_Outcomes(t *testing.T) {
	const head = "version: 1\nname: t\nstages:\n"
	for _, c := range []struct {
		name, stages string
		keepGoing    bool
		state        string
		want         string
	}{
		{
			name: "a failure blocks what depends on it, transitively, and stops the rest", state: "failed",
			stages: `
  a: { uses: noop, with: { seed: 1, code: internal } }
  b: { uses: noop, with: { seed: 2, inputs: ["${stages.a.outputs.out}"] } }
  c: { uses: noop, needs: b, with: { seed: 3 } }
  d: { uses: noop, with: { seed: 4 } }`,
			want: "a=failed b=blocked<a c=blocked<a d=cancelled<a",
		},
		{
			name: "keep-going runs what does not depend on it", state: "failed", keepGoing: true,
			stages: `
  a: { uses: noop, with: { seed: 1, code: internal } }
  b: { uses: noop, with: { seed: 2, inputs: ["${stages.a.outputs.out}"] } }
  d: { uses: noop, with: { seed: 4 } }`,
			want: "a=failed b=blocked<a d=succeeded",
		},
		{
			name: "continue_on_error does not fail the run", state: "succeeded",
			stages: `
  a: { uses: noop, continue_on_error: true, with: { seed: 1, code: internal } }
  b: { uses: noop, needs: a, with: { seed: 2 } }
  c: { uses: noop, with: { seed: 3, inputs: ["${stages.a.outputs.out}"] } }`,
			want: "a=failed b=succeeded c=skipped",
		},
		{
			name: "skipped counts as success for needs, and skips readers", state: "succeeded",
			stages: `
  a: { uses: noop, with: { skip: no server } }
  b: { uses: noop, needs: a, with: { seed: 2 } }
  c: { uses: noop, with: { seed: 3, inputs: ["${stages.a.outputs.out}"] } }
  d: { uses: noop, when: always, with: { seed: 3, inputs: ["${stages.a.outputs.out}"] } }`,
			want: "a=skipped b=succeeded c=skipped d=succeeded",
		},
		{
			name: "when", state: "failed",
			stages: `
  a: { uses: noop, with: { seed: 1, code: internal } }
  b: { uses: noop, needs: a, when: always, with: { seed: 2 } }
  c: { uses: noop, needs: a, when: failure, with: { seed: 3 } }
  d: { uses: noop, needs: a, when: success, with: { seed: 4 } }
  e: { uses: noop, needs: d, when: failure, with: { seed: 5 } }`,
			want: "a=failed b=succeeded c=succeeded d=blocked<a e=succeeded",
		},
		{
			name: "when failure without one", state: "succeeded",
			stages: `
  a: { uses: noop }
  b: { uses: noop, needs: a, when: failure, with: { seed: 3 } }`,
			want: "a=succeeded b=skipped",
		},
		{
			name: "retries", state: "succeeded",
			stages: `
  a: { uses: noop, with: { fail_times: 2 }, retry: { max: 2, backoff: 1ms } }`,
			want: "a=succeeded",
		},
		{
			name: "retries run out", state: "failed",
			stages: `
  a: { uses: noop, with: { fail_times: 2 }, retry: { max: 1, backoff: 1ms } }`,
			want: "a=failed",
		},
		{
			name: "bad input is not tried again", state: "failed",
			stages: `
  a: { uses: noop, with: { fail_times: 1, code: bad_input }, retry: { max: 3, backoff: 1ms } }`,
			want: "a=failed",
		},
		{
			name: "unless it is named", state: "succeeded",
			stages: `
  a: { uses: noop, with: { fail_times: 1, code: bad_input }, retry: { max: 3, backoff: 1ms, on: [bad_input] } }`,
			want: "a=succeeded",
		},
		{
			name: "an empty output is a failure", state: "failed",
			stages: `
  a: { uses: noop, with: { bytes: 0 } }
  b: { uses: probe, with: { input: so8t.yaml, empty: true } }`,
			want: "a=failed b=cancelled<a",
		},
		{
			name: "the same work twice in one run is done once", state: "succeeded",
			stages: `
  a: { uses: noop, with: { seed: 9 } }
  b: { uses: noop, with: { seed: 9 } }`,
			want: "a=succeeded b=cached",
		},
		{
			name: "a time limit", state: "failed",
			stages: `
  a: { uses: noop, timeout: 50ms, with: { duration: 1h } }`,
			want: "a=failed",
		},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			h := open(t, project(t, head+strings.TrimPrefix(c.stages, "\n")+"\n"), func(o *engine.Options) { o.KeepGoing, o.Jobs = c.keepGoing, 1 })
			v := h.run(engine.Selection{}, nil)
			var got []string
			for _, s := range v.Stages {
				text := s.Instance + "=" + s.Outcome
				if s.Cause != "" {
					text += "<" + s.Cause
				}
				got = append(got, text)
			}
			if text := strings.Join(got, " "); text != c.want || v.State != c.state {
				t.Errorf("got %s, %s\nwant %s, %s", v.State, text, c.state, c.want)
			}
		})
	}
}

func TestRun_FailuresAreTyped(t *testing.T) {
	for _, c := range []struct{ with, extra, code, message string }{
		{`code: out_of_memory`, "", "out_of_memory", "told to fail"},
		{`exit: 7`, "", "crashed", "7"},
		{`duration: 1h`, ", timeout: 50ms", "timeout", "50ms"},
		{`bytes: 0`, "", "internal", "empty"},
	} {
		t.Run(c.code, func(t *testing.T) {
			t.Parallel()
			h := open(t, project(t, "version: 1\nstages:\n  a: { uses: noop"+c.extra+", with: { "+c.with+" } }\n"))
			s := h.run(engine.Selection{}, nil).Stages[0]
			if s.Error == nil || s.Error.Code != c.code || !strings.Contains(s.Error.Message, c.message) {
				t.Errorf("error %+v, want code %q and a message with %q", s.Error, c.code, c.message)
			}
		})
	}
}

// TestNeeds_OfWhatIsDone: what only runs after a stage, and is done, is reused whatever becomes of
// that stage; plan, status and explain say so. What is not done is blocked by it.
func TestNeeds_OfWhatIsDone(t *testing.T) {
	h := open(t, project(t, `
version: 1
name: needs
params: { n: 1, fail: 0, other: 3 }
stages:
  a: { uses: noop, with: { seed: "${params.n}", steps: 2, fail_at: "${params.fail}" } }
  b: { uses: noop, needs: [a], with: { seed: 2 } }
  c: { uses: noop, needs: [a], with: { seed: "${params.other}" } }
`))
	first := h.run(engine.Selection{}, nil)
	change := map[string]string{"n": "5", "fail": "1", "other": "4"}
	if got, want := actions(h.plan(engine.Selection{}, change)), "a=run b=reuse c=run"; got != want {
		t.Errorf("the plan is %s, want %s", got, want)
	}
	v := h.run(engine.Selection{}, change)
	if got, want := outcomes(v), "a=failed b=cached c=blocked"; got != want || v.State != "failed" {
		t.Errorf("the run is %s, want %s", got, want)
	}
	b, err := h.Explain(t.Context(), v.Run, "b")
	if err != nil || b.Action != "reuse" || b.Reason != "unchanged since run "+first.Run {
		t.Errorf("of b: %+v, %v", b, err)
	}
	c, err := h.Explain(t.Context(), v.Run, "c")
	if err != nil || c.Action != "blocked" || c.Reason != "blocked by stage a" {
		t.Errorf("of c: %+v, %v", c, err)
	}
}
