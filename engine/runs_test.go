package engine

import (
	"maps"
	"testing"

	"github.com/so8t/so8t/plugins"
	"github.com/so8t/so8t/state"
)

// TestRuns_CountsAreThoseOfStatus, and of a run that its engine has ended they are read with the run alone.
func TestRuns_CountsAreThoseOfStatus(t *testing.T) {
	fails := true
	s := &fakeStage{run: func(a *plugins.Attempt) (plugins.Result, error) {
		if fails {
			return plugins.Result{}, plugins.Errorf(plugins.Internal, "not yet")
		}
		return nested(a)
	}}
	e := fakeEngine(t, oneFake+"  after: { uses: fake, needs: s, with: { seed: 2 } }\n", s)
	check := func(what, id string, counted bool) {
		t.Helper()
		v, err := e.Status(t.Context(), id)
		if err != nil {
			t.Fatal(err)
		}
		want := map[string]int{}
		for _, stage := range v.Stages {
			want[stage.Outcome]++
		}
		list, err := e.Runs(t.Context(), RunsFilter{})
		if err != nil {
			t.Fatal(err)
		}
		if got := list.Runs[0]; got.Run != id || got.State != v.State || !maps.Equal(got.Stages, want) {
			t.Errorf("%s: %+v, want %s and %v", what, got, v.State, want)
		}
		err = e.store.View(t.Context(), func(tx *state.Tx) error {
			run, err := tx.Run(id)
			if (run.Stages != nil) != counted {
				t.Errorf("%s: the record has %v", what, run.Stages)
			}
			return err
		})
		if err != nil {
			t.Fatal(err)
		}
	}
	check("interrupted", interruptedRun(t, e), true)
	failed := fakeRun(t, e).Run
	check("failed", failed, true)
	fails = false
	e.opts.Listener = func(event Event) {
		if event.Kind == StageStarted {
			check("running", failed, false)
		}
	}
	if _, err := e.Resume(t.Context(), failed, ResumeOptions{}); err != nil {
		t.Fatal(err)
	}
	e.opts.Listener = func(Event) {}
	check("resumed", failed, true)
	check("cached", fakeRun(t, e).Run, true)
}
