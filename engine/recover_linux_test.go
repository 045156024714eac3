package engine

import (
	"context"
	"os"
	"os/exec"
	"testing"
	"time"

	"github.com/so8t/so8t/plugins"
	"github.com/so8t/so8t/plugins/host"
	"github.com/so8t/so8t/state"
)

// TestRecover_SweepsWhatAnEndedStageLeft: an engine that is killed after the commit of an attempt
// and before its plugin is gone leaves a succeeded attempt with processes.
func TestRecover_SweepsWhatAnEndedStageLeft(t *testing.T) {
	const mark = "left-by-an-ended-stage"
	left := exec.Command("sleep", "600")
	left.Env = append(os.Environ(), "SO8T_PLUGIN_MARK="+mark)
	if err := left.Start(); err != nil {
		t.Skipf("no program to leave behind: %v", err)
	}
	gone := make(chan error, 1)
	go func() { gone <- left.Wait() }()
	t.Cleanup(func() { _ = left.Process.Kill() })

	var e *Engine
	s := &fakeStage{run: func(a *plugins.Attempt) (plugins.Result, error) {
		if a.Stage == "t" { // the run is as an engine that is killed now leaves it
			if _, err := e.recoverRun(t.Context(), a.Run, state.RunInterrupted); err != nil {
				t.Error(err)
			}
		}
		return nested(a)
	}}
	e = fakeEngine(t, oneFake+"  t: { uses: fake, needs: [s], with: { seed: 1 } }\n", s)
	e.launch = func(_ context.Context, _ host.Command, o host.Options) (process, error) {
		if o.Started != nil {
			if err := o.Started(host.Record{PID: 1, Birth: "never", Mark: map[string]string{"s": mark}[o.Name]}); err != nil {
				return nil, err
			}
		}
		return &fakeProcess{stage: s, stop: make(chan struct{})}, nil
	}
	w, err := e.Load(t.Context(), "so8t.yaml", nil)
	if err != nil {
		t.Fatal(err)
	}
	p, err := e.Plan(t.Context(), w, Selection{})
	if err != nil {
		t.Fatal(err)
	}
	if o, err := e.Run(t.Context(), p, RunOptions{}); err == nil {
		t.Errorf("a run that was taken over ended as %s", o.State)
	}
	select {
	case <-gone:
	case <-time.After(time.Minute):
		t.Error("the process is still there")
	}
}
