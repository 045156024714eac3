package engine_test

import (
	"context"
	"encoding/json"
	"errors"
	"os"
	"path/filepath"
	"testing"

	"github.com/so8t/so8t/engine"
	"github.com/so8t/so8t/plugins"
	"github.com/so8t/so8t/state"
)

// TestGC_ReleasesWhatIsOutside: what a removed run left outside is released, but not what a run that
// stays has left as well; what fails is tried again.
func TestGC_ReleasesWhatIsOutside(t *testing.T) {
	dir := project(t, chain)
	var released []string
	var refusal error
	withReleaser := func(o *engine.Options) {
		o.Releasers = map[string]plugins.Releaser{"thing": func(_ context.Context, project string, x plugins.External, dry bool) (string, error) {
			if project != dir {
				t.Errorf("project %q", project)
			}
			if refusal != nil {
				return "", refusal
			}
			if !dry {
				released = append(released, x.Name)
			}
			return x.Name, nil
		}}
	}
	leave := func(run string, x plugins.External) {
		t.Helper()
		raw, _ := json.Marshal(x)
		out := filepath.Join(dir, ".so8t", "runs", run, "stages", "a", "1", "out")
		if err := os.WriteFile(filepath.Join(out, plugins.ExternalPath), raw, 0o644); err != nil {
			t.Fatal(err)
		}
	}
	mine, shared := plugins.External{Kind: "thing", Name: "mine", Place: "there"}, plugins.External{Kind: "thing", Name: "shared", Place: "there"}
	h := open(t, dir, withReleaser)
	first := h.run(engine.Selection{}, nil)
	leave(first.Run, mine)
	h = open(t, dir, withReleaser)
	second := h.run(engine.Selection{Force: []string{"a", "b", "c"}}, nil)
	leave(second.Run, shared)
	gc := func(policy state.GCPolicy) *engine.GCView {
		t.Helper()
		view, err := open(t, dir, withReleaser).GC(t.Context(), policy)
		if err != nil {
			t.Fatal(err)
		}
		return view
	}
	if gc(state.GCPolicy{}); released != nil {
		t.Errorf("all runs stay, but %q was released", released)
	}
	if view := gc(state.GCPolicy{ByCount: true, Keep: 1, DryRun: true}); released != nil || view.Removed[len(view.Removed)-1].Path != "there" {
		t.Errorf("dry run: released %q, said %+v", released, view.Removed)
	}
	refusal = errors.New("the server is down")
	if view := gc(state.GCPolicy{ByCount: true, Keep: 1}); released != nil || len(view.Failed) != 1 {
		t.Errorf("refused: released %q, failed %q", released, view.Failed)
	}
	refusal = nil
	if gc(state.GCPolicy{}); len(released) != 1 || released[0] != "mine" {
		t.Errorf("tried again: released %q", released)
	}
	released = nil
	if gc(state.GCPolicy{}); released != nil {
		t.Errorf("released again: %q", released)
	}
	if gc(state.GCPolicy{ByCount: true}); len(released) != 1 || released[0] != "shared" {
		t.Errorf("the last run is gone: released %q", released)
	}
}
