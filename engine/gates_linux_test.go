package engine_test

import (
	"errors"
	"strconv"
	"strings"
	"testing"

	"github.com/so8t/so8t/engine"
)

// TestCrash_GateHolds kills the engine before every durable step of a run whose gate refuses. What
// is adopted of it is refused too, at once and by what goes on with it.
func TestCrash_GateHolds(t *testing.T) {
	points := 0
	for _, verb := range []string{"run", "resume:"} {
		for n := 1; ; n++ {
			dir := project(t, "version: 1\nstages: {a: {uses: noop}}\n")
			gated(t, dir, "accuracy > 0.9", "")
			if code, _ := engineProcess(t, "run", dir, "SO8T_CRASH_AT="+strconv.Itoa(n)); code != -1 {
				break
			}
			points++
			h := open(t, dir)
			if done := committed(t, h); done["a"] {
				t.Errorf("killed before step %d: status says that the refused stage succeeded", n)
			}
			engineProcess(t, verb, dir)
			runs, err := h.Runs(t.Context(), engine.RunsFilter{})
			if err != nil {
				t.Fatal(err)
			}
			if len(runs.Runs) == 0 && verb == "resume:" {
				continue // there was no run yet
			}
			v := h.status(runs.Runs[0].Run)
			if got := reasonsOf(v); v.State != "failed" || !strings.Contains(got, "a failed: gate: accuracy > 0.9: accuracy was 0.83") {
				t.Errorf("killed before step %d, then %q: %s\n%s", n, verb, v.State, got)
			}
			checkClean(t, dir)
		}
	}
	t.Logf("%d points", points)
	if points < 10 {
		t.Errorf("only %d points", points)
	}
}

// TestCrash_ResumeWithAnEdit kills the engine before every durable step and goes on with an edited
// workflow. An attempt that is adopted then has succeeded, and its stage is judged, or done again, anew.
func TestCrash_ResumeWithAnEdit(t *testing.T) {
	for name, c := range map[string]struct{ gate, more, state, want string }{
		"a gate": {"accuracy > 0.9", "", "failed", "a failed: gate: accuracy > 0.9: accuracy was 0.83"},
		"with":   {"accuracy > 0.5", ", env: { A: a }", "succeeded", "a succeeded: "},
	} {
		t.Run(name, func(t *testing.T) {
			points := 0
			for n := 1; ; n++ {
				dir := project(t, "version: 1\nstages: {a: {uses: noop}}\n")
				gated(t, dir, "accuracy > 0.5", "")
				if code, _ := engineProcess(t, "run", dir, "SO8T_CRASH_AT="+strconv.Itoa(n)); code != -1 {
					break
				}
				gated(t, dir, c.gate, c.more)
				h := open(t, dir)
				o, err := h.Resume(t.Context(), "", engine.ResumeOptions{AcceptChanges: true})
				if errors.Is(err, engine.ErrNothingToResume) {
					continue // there was no run yet, or it had ended
				}
				points++
				if err != nil {
					t.Errorf("killed before step %d: %v", n, err)
					continue
				}
				v := h.status(o.Run)
				if got := reasonsOf(v); v.State != c.state || !strings.Contains(got, c.want) {
					t.Errorf("killed before step %d: %s\n%s", n, v.State, got)
				}
				checkClean(t, dir)
			}
			if t.Logf("%d points", points); points < 5 {
				t.Errorf("only %d points", points)
			}
		})
	}
}
