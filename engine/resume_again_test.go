package engine

import (
	"errors"
	"net/http"
	"net/http/httptest"
	"path/filepath"
	"sync/atomic"
	"testing"

	"github.com/so8t/so8t/plugins"
	"github.com/so8t/so8t/plugins/manifest"
	"github.com/so8t/so8t/state"
)

// interruptedRun is a run that was interrupted before anything started.
func interruptedRun(t *testing.T, e *Engine) string {
	t.Helper()
	w, err := e.Load(t.Context(), "so8t.yaml", nil)
	if err != nil {
		t.Fatal(err)
	}
	p, err := e.Plan(t.Context(), w, Selection{})
	if err != nil {
		t.Fatal(err)
	}
	control := NewControl()
	control.Interrupt(SIGINT)
	o, err := e.Run(t.Context(), p, RunOptions{Control: control})
	if err != nil || o.State != "interrupted" {
		t.Fatalf("%+v, %v", o, err)
	}
	return o.Run
}

// TestResume_WhatItWasToReuseIsCollected between its plan and its commit: it does the work.
func TestResume_WhatItWasToReuseIsCollected(t *testing.T) {
	s := &fakeStage{run: nested}
	e := fakeEngine(t, oneFake, s)
	id := interruptedRun(t, e)
	done := fakeRun(t, e)
	collected := 0
	e.disk = manifest.Watched(manifest.OS, func(_ manifest.Op, path string) error {
		if path != state.RunDir(e.store.Dir(), id) || collected > 0 {
			return nil
		}
		collected++
		removed, err := e.store.Collect(t.Context(), state.GCPolicy{ByCount: true})
		if err != nil || len(removed) == 0 || filepath.Base(removed[0].Path) != done.Run {
			t.Errorf("collected %+v, %v", removed, err)
		}
		return nil
	})
	o, err := e.Resume(t.Context(), id, ResumeOptions{})
	if err != nil {
		t.Fatal(err)
	}
	if o.State != "succeeded" || o.Stages["succeeded"] != 1 || collected != 1 {
		t.Errorf("%+v, collected %d times", o, collected)
	}
}

// TestResume_HooksOfTheEndBefore: an engine died after the end of a run and before its hooks. They
// are run though the run goes on and has another end.
func TestResume_HooksOfTheEndBefore(t *testing.T) {
	var told atomic.Int32
	server := httptest.NewServer(http.HandlerFunc(func(http.ResponseWriter, *http.Request) { told.Add(1) }))
	t.Cleanup(server.Close)
	fails := true
	s := &fakeStage{run: func(a *plugins.Attempt) (plugins.Result, error) {
		if fails {
			return plugins.Result{}, plugins.Errorf(plugins.Crashed, "not yet")
		}
		return nested(a)
	}}
	e := fakeEngine(t, oneFake+"on: { failure: { webhook: "+server.URL+" } }\n", s)
	cut := errors.New("the power is cut")
	e.crash.observe = func(string, string) error {
		if told.Load() > 0 { // before it is committed that the hook was run
			return cut
		}
		return nil
	}
	w, err := e.Load(t.Context(), "so8t.yaml", nil)
	if err != nil {
		t.Fatal(err)
	}
	p, err := e.Plan(t.Context(), w, Selection{})
	if err != nil {
		t.Fatal(err)
	}
	if _, err := e.Run(t.Context(), p, RunOptions{}); !errors.Is(err, cut) || told.Load() != 1 {
		t.Fatalf("error %v, told %d times", err, told.Load())
	}
	e.crash.observe = nil
	fails = false
	o, err := e.Resume(t.Context(), "", ResumeOptions{})
	if err != nil || o.State != "succeeded" {
		t.Fatalf("%+v, %v", o, err)
	}
	if told.Load() != 2 {
		t.Errorf("told %d times, want 2", told.Load())
	}
}
