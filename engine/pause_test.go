package engine

import (
	"slices"
	"strconv"
	"strings"
	"sync"
	"testing"

	"github.com/so8t/so8t/plugins"
	"github.com/so8t/so8t/state"
)

// tried is an engine with one job and one device whose stage s fails once, and the order of the tries.
func tried(t *testing.T, yaml string, did func(a *plugins.Attempt) error) (e *Engine, order *[]string) {
	t.Helper()
	t.Setenv("XDG_RUNTIME_DIR", t.TempDir())
	var mu sync.Mutex
	order = &[]string{}
	e = fakeEngine(t, yaml, &fakeStage{run: func(a *plugins.Attempt) (plugins.Result, error) {
		mu.Lock()
		*order = append(*order, a.Stage+strconv.Itoa(a.Number))
		mu.Unlock()
		if err := did(a); err != nil {
			return plugins.Result{}, err
		}
		return nested(a)
	}})
	e.opts.GPUs = func() []string { return []string{"0"} }
	return e, order
}

const waitsBetween = `version: 1
slots: { server: 1 }
stages:
  s: { uses: fake, resources: { gpu: 1, slots: { server: 1 } }, retry: { max: 1, backoff: 0.2s }, with: { seed: 1 } }
  t: { uses: fake, resources: { gpu: 1, slots: { server: 1 } }, with: { seed: 2 } }
`

// TestRetry_WaitHoldsNothing: another stage has the only job, the only slot and the only device while
// one waits between its tries.
func TestRetry_WaitHoldsNothing(t *testing.T) {
	e, order := tried(t, waitsBetween, func(a *plugins.Attempt) error {
		if a.Stage == "s" && a.Number == 1 {
			return plugins.Errorf(plugins.Unavailable, "not yet")
		}
		return nil
	})
	v := fakeRun(t, e)
	if got := strings.Join(*order, " "); got != "s1 t1 s2" || v.State != string(state.RunSucceeded) {
		t.Errorf("%s; tries %s", v.State, got)
	}
}

// TestRetry_FailureOfAnother: a stage that waits has begun; the failure of another does not end it.
func TestRetry_FailureOfAnother(t *testing.T) {
	e, order := tried(t, waitsBetween+"  u: { uses: fake, with: { seed: 3 } }\n", func(a *plugins.Attempt) error {
		if a.Stage == "t" || a.Number == 1 {
			return plugins.Errorf(plugins.Unavailable, "not yet")
		}
		return nil
	})
	v := fakeRun(t, e)
	var ends []string
	for _, s := range v.Stages {
		ends = append(ends, s.Instance+"="+s.Outcome)
	}
	slices.Sort(ends)
	if got := strings.Join(*order, " "); got != "s1 t1 s2" || strings.Join(ends, " ") != "s=succeeded t=failed u=cancelled" {
		t.Errorf("%s; tries %s", ends, got)
	}
}

// TestSchedule_InterruptedBetweenTries: what waits for its turn stays when another fails; interrupted
// meanwhile, it is neither cancelled by a failure after that nor freed twice.
func TestSchedule_InterruptedBetweenTries(t *testing.T) {
	n := &node{index: 0, instance: "s"}
	r := &run{nodes: []*node{n}, results: make([]result, 1), stages: make([]state.StageRecord, 1)}
	s := &scheduler{r: r, ready: readyLanes{}, between: map[int]chan struct{}{}, instances: map[string]int{}}
	r.plan = &Plan{}
	s.take(n, 1)
	s.heed(tryAgain{index: 0})
	s.heed(tryAgain{0, make(chan struct{})})
	s.failed = "t"
	if s.dropReady(); len(s.ready) != 1 || r.results[0].outcome != "" {
		t.Errorf("the failure of another ends it as %q", r.results[0].outcome)
	}
	s.release(0)
	r.results[0].outcome = state.Interrupted
	s.dropReady()
	if s.running != 0 || r.results[0].outcome != state.Interrupted {
		t.Errorf("%d run, ended as %s", s.running, r.results[0].outcome)
	}
}

// TestRetry_TwinOfAnother: a stage that does the same work gets its job, and may do it, while the first waits.
func TestRetry_TwinOfAnother(t *testing.T) {
	e, order := tried(t, strings.Replace(waitsBetween, "seed: 2", "seed: 1", 1), func(a *plugins.Attempt) error {
		if a.Stage == "s" {
			return plugins.Errorf(plugins.Unavailable, "not yet")
		}
		return nil
	})
	v := fakeRun(t, e)
	if got := strings.Join(*order, " "); got != "s1 t1" || v.State != string(state.RunSucceeded) || v.Stages[0].Outcome != string(state.Cached) {
		t.Errorf("%s; tries %s: %+v", v.State, got, v.Stages)
	}
}
