package engine

import (
	"encoding/json"
	"math"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/so8t/so8t/plugins"
)

// TestMetrics_NotFinite: a loss that became NaN is what a user wants to see, not an error.
func TestMetrics_NotFinite(t *testing.T) {
	var events []string
	e := fakeEngine(t, oneFake, &fakeStage{run: func(a *plugins.Attempt) (plugins.Result, error) {
		for i, v := range []float64{0.5, math.NaN(), math.Inf(1), math.Inf(-1)} {
			a.Metric("loss", v, int64(i))
		}
		return plugins.Result{}, os.WriteFile(filepath.Join(a.OutputDir, "tree"), []byte("x"), 0o644)
	}})
	e.opts.Listener = func(ev Event) {
		text, err := json.Marshal(ev)
		if err != nil {
			t.Errorf("event %s: %v", ev.Kind, err)
		}
		if ev.Kind == Measured {
			events = append(events, string(text))
		}
	}
	v := fakeRun(t, e)
	for i, want := range []string{`"value":0.5`, `"value":null`, `"value":null`, `"value":null`} {
		if i >= len(events) || !strings.Contains(events[i], want) {
			t.Fatalf("events %q: number %d lacks %s", events, i, want)
		}
	}
	m, err := e.Metrics(t.Context(), v.Run, "")
	if err != nil {
		t.Fatal(err)
	}
	m.Stages["s"].Final["acc"] = math.NaN()
	text, err := json.Marshal(m)
	const want = `{"stages":{"s":{"final":{"acc":null},"series":{"loss":[[0,0.5],[1,null],[2,null],[3,null]]}}}}`
	if err != nil || string(text) != want {
		t.Errorf("metrics %s, %v\nwant %s", text, err, want)
	}
	if text, err := json.Marshal(StageView{Metrics: Values{"acc": math.Inf(1)}}); err != nil || !strings.Contains(string(text), `"metrics":{"acc":null}`) {
		t.Errorf("status %s, %v", text, err)
	}
}
