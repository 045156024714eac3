package engine

import (
	"fmt"
	"strings"
	"testing"

	"github.com/so8t/so8t/plugins"
)

// TestPlan_TenThousandStages: a chain of 5,000 stages, at whose end 5,000 hang side by side and one
// reads a tenth of them. Nothing here may be quadratic or recursive; the time is bounded only by
// the patience of go test, since other machines are slower. Snakemake fails on a chain of 1,000,
// and Dagu takes time that grows with the square.
func TestPlan_TenThousandStages(t *testing.T) {
	const half = 5000
	var b strings.Builder
	b.WriteString("version: 1\nname: large\nstages:\n")
	var some []string
	for i := range half {
		needs := ""
		if i > 0 {
			needs = fmt.Sprintf(", needs: [c%d]", i-1)
		}
		fmt.Fprintf(&b, "  c%d: { uses: fake%s, with: { seed: %d } }\n", i, needs, i)
	}
	for i := range half {
		fmt.Fprintf(&b, "  w%d: { uses: fake, needs: [c%d], with: { seed: %d } }\n", i, half-1, half+i)
		if i%10 == 0 {
			some = append(some, fmt.Sprintf("w%d", i))
		}
	}
	fmt.Fprintf(&b, "  last: { uses: fake, needs: [%s] }\n", strings.Join(some, ", "))
	e := fakeEngine(t, b.String(), &fakeStage{run: func(*plugins.Attempt) (plugins.Result, error) {
		return plugins.Result{}, fmt.Errorf("a plan runs nothing")
	}})
	w, err := e.Load(t.Context(), "so8t.yaml", nil)
	if err != nil {
		t.Fatal(err)
	}
	p, err := e.Plan(t.Context(), w, Selection{Until: []string{"last"}})
	if err != nil {
		t.Fatal(err)
	}
	actions := map[Action]int{}
	for _, s := range p.Stages {
		actions[s.Action]++
	}
	if actions[ActionRun] != half+half/10+1 || actions[ActionSkip] != half-half/10 {
		t.Errorf("the plan is to %v", actions)
	}
}
