package engine_test

import (
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
