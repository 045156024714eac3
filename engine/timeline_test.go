package engine

import (
	"os"
	"path/filepath"
	"testing"
	"time"

	"github.com/so8t/so8t/plugins"
)

// A stage that asks for it is told what all that it depends on took, also in the run whose outputs
// are reused; another is not, and it changes no fingerprint.
func TestRun_TellsTheTimelineToWhoAsks(t *testing.T) {
	told := map[string][]plugins.Span{}
	f := &fakeStage{run: func(a *plugins.Attempt) (plugins.Result, error) {
		told[a.Stage] = a.Timeline
		return plugins.Result{}, os.WriteFile(filepath.Join(a.OutputDir, "tree"), []byte(a.Stage), 0o644)
	}}
	e := fakeEngine(t, "version: 1\nname: times\nstages:\n  a: { uses: fake }\n  b: { uses: fake, needs: [a], with: { seed: 1 } }\n"+
		"  other: { uses: fake, with: { seed: 3 } }\n  last: { uses: asks, needs: [b], with: { seed: 2 } }\n", f)
	asks := func() plugins.Description {
		d := f.Describe()
		d.Name, d.Timeline = "asks", true
		return d
	}
	e.opts.Builtins = append(e.opts.Builtins, Builtin{Name: "asks", Describe: asks})
	at := time.Date(2026, 1, 2, 3, 4, 5, 0, time.UTC)
	e.now = func() time.Time { at = at.Add(time.Second); return at }
	first := fakeRun(t, e)
	if told["a"] != nil || told["b"] != nil {
		t.Errorf("a and b did not ask, and were told %v", told)
	}
	spans := told["last"]
	if len(spans) != 2 || spans[0].Instance != "a" || spans[1].Instance != "b" {
		t.Fatalf("told %+v; want a and b", spans)
	}
	for _, s := range spans {
		if s.Outcome != "succeeded" || s.Attempt != 1 || s.Run != "" || !s.Ended.After(s.Started) {
			t.Errorf("told %+v", s)
		}
	}
	clear(told)
	if v := fakeRun(t, e); v.Stages[3].Outcome != "cached" || len(told) != 0 {
		t.Errorf("with another timeline %s is %s", v.Stages[3].Instance, v.Stages[3].Outcome)
	}
	w, err := e.Load(t.Context(), "so8t.yaml", nil)
	if err != nil {
		t.Fatal(err)
	}
	p, err := e.Plan(t.Context(), w, Selection{Force: []string{"last"}})
	if err != nil {
		t.Fatal(err)
	}
	if _, err := e.Run(t.Context(), p, RunOptions{}); err != nil {
		t.Fatal(err)
	}
	again := told["last"]
	if len(again) != 2 || again[0].Run != first.Run || again[0].Outcome != "cached" || !again[0].Started.Equal(spans[0].Started) {
		t.Errorf("of what is reused: told %+v, want %+v of run %s", again, spans, first.Run)
	}
}
