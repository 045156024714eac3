package engine

import (
	"context"
	"errors"
	"slices"
	"strings"
	"sync"
	"testing"

	"github.com/so8t/so8t/plugins"
	"github.com/so8t/so8t/plugins/host"
)

// spares counts what happens to the processes that are started ahead.
type spares struct {
	mu                       sync.Mutex
	prepared, launched, open int
	adopted                  []string
	refuse                   error
}

type fakeSpare struct {
	fakeProcess
	of *spares
}

func (s *fakeSpare) Adopt(o host.Options) error {
	s.of.mu.Lock()
	err := s.of.refuse
	if err == nil {
		s.of.adopted = append(s.of.adopted, o.Name)
	} else {
		s.of.open--
	}
	s.of.mu.Unlock()
	if err != nil {
		return err
	}
	return o.Started(host.Record{PID: 1, Birth: "never", Mark: "none"})
}

func (s *fakeSpare) Close() []host.Record {
	s.of.mu.Lock()
	defer s.of.mu.Unlock()
	s.of.open--
	return nil
}

// watchSpares makes an engine with processes that are started ahead.
func watchSpares(t *testing.T, yaml string, s *fakeStage) (*Engine, *spares) {
	t.Helper()
	e, w := fakeEngine(t, yaml, s), &spares{}
	launch := e.launch
	e.launch = func(ctx context.Context, c host.Command, o host.Options) (process, error) {
		if o.Started != nil { // not to check
			w.mu.Lock()
			w.launched++
			w.mu.Unlock()
		}
		return launch(ctx, c, o)
	}
	e.prepare = func(context.Context, host.Command) (spare, error) {
		w.mu.Lock()
		defer w.mu.Unlock()
		w.prepared++
		w.open++
		return &fakeSpare{fakeProcess{stage: s, stop: make(chan struct{})}, w}, nil
	}
	return e, w
}

const aheadChain = "version: 1\nname: ahead\nstages:\n  a: { uses: fake }\n  b: { uses: fake, needs: [a], with: { seed: 1 } }\n  c: { uses: fake, needs: [b], with: { seed: 2 } }\n"

func TestAhead_EachStageFindsItsProcessStarted(t *testing.T) {
	for name, yaml := range map[string]string{"chain": aheadChain, "wide": strings.NewReplacer("needs: [a], ", "", "needs: [b], ", "").Replace(aheadChain)} {
		e, w := watchSpares(t, yaml, &fakeStage{run: nested})
		if v := fakeRun(t, e); v.State != "succeeded" {
			t.Fatalf("%s: %s", name, v.State)
		}
		if want := []string{"a", "b", "c"}; w.prepared != 3 || w.launched != 0 || w.open != 0 || !slices.Equal(w.adopted, want) {
			t.Errorf("%s: %+v", name, w)
		}
	}
}

// TestAhead_NothingIsLeft: the process of a stage that does not come ends with the run.
func TestAhead_NothingIsLeft(t *testing.T) {
	e, w := watchSpares(t, aheadChain, &fakeStage{run: func(a *plugins.Attempt) (plugins.Result, error) {
		if a.Stage == "b" {
			return plugins.Result{}, errors.New("no")
		}
		return nested(a)
	}})
	if v := fakeRun(t, e); v.State != "failed" {
		t.Fatalf("%s", v.State)
	}
	if w.prepared != 3 || len(w.adopted) != 2 || w.open != 0 {
		t.Errorf("%+v", w)
	}
}

// TestAhead_Ended: a process that ended while it waited is nobody's failure.
func TestAhead_Ended(t *testing.T) {
	e, w := watchSpares(t, aheadChain, &fakeStage{run: nested})
	w.refuse = host.ErrEnded
	if v := fakeRun(t, e); v.State != "succeeded" {
		t.Fatalf("%s", v.State)
	}
	if w.prepared != 3 || w.launched != 3 || w.open != 0 {
		t.Errorf("%+v", w)
	}
}

// TestAhead_OnlyWhatIsTheSame: a stage with an environment of its own finds no process that has another.
func TestAhead_OnlyWhatIsTheSame(t *testing.T) {
	e, w := watchSpares(t, "version: 1\nname: ahead\nstages:\n  a: { uses: fake, env: { A: x } }\n"+
		"  b: { uses: fake, needs: [a], with: { seed: 1 } }\n  c: { uses: fake, needs: [b], env: { A: x }, with: { seed: 2 } }\n",
		&fakeStage{run: nested})
	if v := fakeRun(t, e); v.State != "succeeded" {
		t.Fatalf("%s", v.State)
	}
	if w.prepared != 1 || w.launched != 2 || w.open != 0 || !slices.Equal(w.adopted, []string{"b"}) {
		t.Errorf("%+v", w)
	}
}
