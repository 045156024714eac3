package engine_test

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/so8t/so8t/engine"
	"github.com/so8t/so8t/state"
)

// reasonsOf lists the stages of a run with how they ended and why, run ids replaced.
func reasonsOf(v *engine.StatusView) string {
	var b strings.Builder
	for _, s := range v.Stages {
		reason := s.Reason
		if s.Error != nil {
			reason = s.Error.Code + ": " + s.Error.Message
		}
		b.WriteString(s.Instance + " " + s.Outcome + ": " + reason + "\n")
	}
	return strings.TrimSpace(b.String())
}

// TestRun_When is what an expression means to a stage, and what is said of it.
func TestRun_When(t *testing.T) {
	for _, c := range []struct {
		name, stages string
		state, want  string // the last stages, as reasonsOf says them
	}{
		{
			name: "a metric that holds", state: "succeeded",
			stages: `
  a: { uses: noop, with: { metrics: { loss: 1.5 } } }
  b: { uses: noop, when: stages.a.metrics.loss < 2, with: { seed: 2 } }`,
			want: "b succeeded: not done yet; when: stages.a.metrics.loss < 2 — loss was 1.5",
		},
		{
			name: "a metric that does not hold", state: "succeeded",
			stages: `
  a: { uses: noop, with: { metrics: { loss: 2.31 } } }
  b: { uses: noop, when: stages.a.metrics.loss < 2, with: { seed: 2 } }
  c: { uses: noop, needs: b, with: { seed: 3 } }
  d: { uses: noop, with: { seed: 4, inputs: ["${stages.b.outputs.out}"] } }`,
			want: "b skipped: when: stages.a.metrics.loss < 2 — loss was 2.31\nc succeeded: not done yet\n" +
				"d skipped: reads out of stage b, which was not made",
		},
		{
			name: "parameters, the matrix, and what is not looked at", state: "succeeded",
			stages: `
  a: { uses: noop, matrix: { r: [8, 16] }, when: params.big or matrix.r < 10, with: { seed: 1 } }
  b: { uses: noop, when: params.big and min(stages.a.metrics.none) > 1, with: { seed: 2 } }`,
			want: "a[r=16] skipped: when: params.big or matrix.r < 10 — params.big was false, matrix.r was 16\n" +
				"b skipped: when: params.big and min(stages.a.metrics.none) > 1 — params.big was false",
		},
		{
			name: "a collected stage", state: "succeeded",
			stages: `
  a: { uses: noop, matrix: { r: [8, 16] }, with: { seed: "${matrix.r}", metrics: { loss: "${matrix.r}" } } }
  b: { uses: noop, when: 'min(stages.a.metrics.loss) == 8 and not ("failed" in stages.a.outcome)', with: { seed: 2 } }`,
			want: `b succeeded: not done yet; when: min(stages.a.metrics.loss) == 8 and not ("failed" in stages.a.outcome) — loss was [8, 16], the outcome of a was ["succeeded", "succeeded"]`,
		},
		{
			name: "pairing: each instance asks of its own", state: "succeeded",
			stages: `
  a: { uses: noop, matrix: { r: [8, 16] }, with: { seed: "${matrix.r}", metrics: { loss: "${matrix.r}" } } }
  b: { uses: noop, matrix: { from: a }, when: stages.a.metrics.loss > 10, with: { seed: 2 } }`,
			want: "b[r=8] skipped: when: stages.a.metrics.loss > 10 — loss was 8\n" +
				"b[r=16] succeeded: not done yet; when: stages.a.metrics.loss > 10 — loss was 16",
		},
		{
			name: "after a failure runs what asks for it", state: "failed",
			stages: `
  a: { uses: noop, with: { code: internal } }
  b: { uses: noop, when: 'stages.a.outcome == "failed"', with: { seed: 2 } }
  c: { uses: noop, needs: a, when: failure() and params.n == 3, with: { seed: 3 } }
  d: { uses: noop, needs: a, when: success(), with: { seed: 4 } }
  e: { uses: noop, needs: a, when: params.n == 3, with: { seed: 5 } }
  f: { uses: noop, needs: a, when: always() and params.n == 3, with: { seed: 6 } }`,
			want: `b succeeded: not done yet; when: stages.a.outcome == "failed" — the outcome of a was "failed"` + "\n" +
				"c succeeded: not done yet; when: failure() and params.n == 3 — failure() was true, params.n was 3\n" +
				"d skipped: when: success() — success() was false\n" +
				"e blocked: blocked by stage a\n" +
				"f succeeded: not done yet; when: always() and params.n == 3 — params.n was 3",
		},
		{
			name: "a failure that is forgiven is like a skip", state: "succeeded",
			stages: `
  a: { uses: noop, continue_on_error: true, with: { code: internal } }
  b: { uses: noop, when: stages.a.metrics.loss < 2, with: { seed: 2 } }
  c: { uses: noop, when: 'stages.a.outcome == "failed" and success()', with: { seed: 3 } }
  d: { uses: noop, when: (stages.a.metrics.loss ?? 0) < 2, with: { seed: 4 } }
  e: { uses: noop, when: params.n == 3, with: { seed: 5, inputs: ["${stages.a.outputs.out}"] } }`,
			want: "b skipped: when: stages.a.metrics.loss < 2 — stages.a.metrics.loss was not reported: stage a failed\n" +
				`c succeeded: not done yet; when: stages.a.outcome == "failed" and success() — the outcome of a was "failed", success() was true` + "\n" +
				"d succeeded: not done yet; when: (stages.a.metrics.loss ?? 0) < 2 — loss was not reported\n" +
				"e succeeded: not done yet; when: params.n == 3 — params.n was 3",
		},
		{
			name: "a metric of a stage that failed blocks", state: "failed",
			stages: `
  a: { uses: noop, with: { code: internal } }
  b: { uses: noop, when: always() and stages.a.metrics.loss < 2, with: { seed: 2 } }`,
			want: "b blocked: blocked by stage a; when: always() and stages.a.metrics.loss < 2 — stages.a.metrics.loss was not reported",
		},
		{
			name: "a metric that a stage which succeeded did not report fails", state: "failed",
			stages: `
  a: { uses: noop }
  b: { uses: noop, when: stages.a.metrics.loss != 2, with: { seed: 2 } }
  c: { uses: noop, needs: b, with: { seed: 3 } }`,
			want: "b failed: bad_input: when: stages.a.metrics.loss != 2 — stages.a.metrics.loss was not reported\nc blocked: blocked by stage b",
		},
		{
			name: "without dependencies", state: "failed",
			stages: `
  a: { uses: noop, when: params.n > 3 }
  b: { uses: noop, when: 1 % (params.n - 3) == 0, with: { seed: 2 } }`,
			want: "a skipped: when: params.n > 3 — params.n was 3\n" +
				"b failed: bad_input: when: 1 % (params.n - 3) == 0 — runtime error: integer divide by zero",
		},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			head := "version: 1\nname: t\nparams: { big: false, n: 3 }\nstages:\n"
			h := open(t, project(t, head+strings.TrimPrefix(c.stages, "\n")+"\n"), func(o *engine.Options) { o.Jobs = 1 })
			v := h.run(engine.Selection{}, nil)
			if got := reasonsOf(v); v.State != c.state || !strings.HasSuffix(got, c.want) {
				t.Errorf("%s:\n%s\nwant %s:\n%s", v.State, got, c.state, c.want)
			}
		})
	}
}

// A plan knows what an expression says as far as it is known, and a stage that was asked for and
// reused answers as it did when it ran.
func TestPlan_When(t *testing.T) {
	h := open(t, project(t, `
version: 1
name: t
params: { limit: { type: float, default: 2 } }
stages:
  a: { uses: noop, with: { metrics: { loss: 1.5 } } }
  b: { uses: noop, when: 'stages.a.metrics.loss < params.limit and stages.a.outcome == "succeeded"', with: { seed: 2 } }
  c: { uses: noop, when: params.limit > 5 and stages.b.outcome == "succeeded", with: { seed: 3 } }
`))
	const when = `when: stages.a.metrics.loss < params.limit and stages.a.outcome == "succeeded"`
	expect(t, "at first", h.plan(engine.Selection{}, nil), "", `
a run: not done yet
b run: `+when+`, decided when stage a has ended
c skip: when: params.limit > 5 and stages.b.outcome == "succeeded" — params.limit was 2`)
	run := h.run(engine.Selection{}, nil).Run
	expect(t, "again", h.plan(engine.Selection{}, nil), "", `
a reuse: unchanged since run `+run+`
b reuse: unchanged since run `+run+`; `+when+` — loss was 1.5, params.limit was 2, the outcome of a was "succeeded"
c skip: when: params.limit > 5 and stages.b.outcome == "succeeded" — params.limit was 2`)
	expect(t, "another limit", h.plan(engine.Selection{}, map[string]string{"limit": "1"}), "", `
a reuse: unchanged since run `+run+`
b skip: `+when+` — loss was 1.5, params.limit was 1
c skip: when: params.limit > 5 and stages.b.outcome == "succeeded" — params.limit was 1`)
	if v := h.run(engine.Selection{}, map[string]string{"limit": "1"}); outcomes(v) != "a=cached b=skipped c=skipped" {
		t.Errorf("run with another limit: %s", outcomes(v))
	}
	if v := h.run(engine.Selection{}, map[string]string{"limit": "6"}); outcomes(v) != "a=cached b=cached c=succeeded" {
		t.Errorf("run with a high limit: %s", outcomes(v))
	}
}

// gated is a project whose stage a has the gates and leaves a trace of each attempt.
func gated(t *testing.T, dir, gates, more string) {
	t.Helper()
	write(t, filepath.Join(dir, "so8t.yaml"), `
version: 1
name: t
params: { cap: { type: float, default: 0.9 } }
stages:
  a: { uses: noop, with: { trace: trace.txt, metrics: { accuracy: 0.83, rows: 12 } }, gates: [`+gates+`]`+more+` }
  b: { uses: noop, needs: a, with: { seed: 2 } }
`)
}

// What a gate refuses is kept: an edit of a gate judges it again, and makes nothing again.
func TestRun_Gates(t *testing.T) {
	dir := project(t, "version: 1\nstages: {a: {uses: noop}}\n")
	attempts := func() int {
		text, err := os.ReadFile(filepath.Join(dir, "trace.txt"))
		if err != nil {
			t.Fatal(err)
		}
		return strings.Count(string(text), "start")
	}
	for _, step := range []struct {
		what, gates, more, params string
		state, want               string
		attempts                  int
	}{
		{
			what: "refused", gates: "rows >= 10, accuracy > params.cap, rows > 100", state: "failed", attempts: 1,
			want: "a failed: gate: accuracy > params.cap: accuracy was 0.83, params.cap was 0.9; rows > 100: rows was 12\nb blocked: blocked by stage a",
		},
		{
			what: "again: judged, not made", gates: "accuracy > params.cap", state: "failed", attempts: 1,
			want: "a failed: gate: accuracy > params.cap: accuracy was 0.83, params.cap was 0.9\nb blocked: blocked by stage a",
		},
		{
			what: "not reported", gates: "recall > 0.5", state: "failed", attempts: 1,
			want: "a failed: gate: recall > 0.5: recall was not reported\nb blocked: blocked by stage a",
		},
		{
			what: "tried again where retry.on names gates", gates: "accuracy > 0.9", more: ", retry: { max: 1, backoff: 1ms, on: [gate] }", state: "failed", attempts: 3,
			want: "a failed: gate: accuracy > 0.9: accuracy was 0.83\nb blocked: blocked by stage a",
		},
		{
			what: "forgiven", gates: "accuracy > 0.9", more: ", continue_on_error: true", state: "succeeded", attempts: 3,
			want: "a failed: gate: accuracy > 0.9: accuracy was 0.83\nb succeeded: not done yet",
		},
		{
			what: "relaxed", gates: "accuracy > 0.8", state: "succeeded", attempts: 3,
			want: "a cached: unchanged since run RUN\nb cached: unchanged since run RUN",
		},
	} {
		gated(t, dir, step.gates, step.more)
		v := open(t, dir).run(engine.Selection{}, nil)
		got := reasonsOf(v)
		for _, s := range v.Stages {
			got = strings.ReplaceAll(got, "since run "+s.FromRun+"\n", "since run RUN\n")
			got = strings.TrimSuffix(got, s.FromRun)
		}
		want := strings.TrimSuffix(step.want, "RUN")
		if got != want || v.State != step.state || attempts() != step.attempts {
			t.Errorf("%s: %s, %d attempts:\n%s\nwant %s, %d:\n%s", step.what, v.State, attempts(), got, step.state, step.attempts, step.want)
		}
	}
	findings, err := state.Check(t.Context(), filepath.Join(dir, ".so8t"), state.CheckOptions{})
	if err != nil || len(findings) > 0 {
		t.Errorf("check: %v %+v", err, findings)
	}
}
