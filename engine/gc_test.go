//go:build linux

package engine_test

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"

	"github.com/so8t/so8t/engine"
	"github.com/so8t/so8t/state"
)

// TestGC_BetweenPlanAndRun: what a plan is about to reuse is removed before the run is stored. The
// run notices, is planned anew and does the work.
func TestGC_BetweenPlanAndRun(t *testing.T) {
	dir := project(t, chain)
	h := open(t, dir)
	first := h.run(engine.Selection{}, nil)
	plan := h.plan(engine.Selection{}, nil)
	if got := actions(plan); got != "a=reuse b=reuse c=reuse" {
		t.Fatalf("plan: %s", got)
	}
	view, err := open(t, dir).GC(t.Context(), state.GCPolicy{ByCount: true})
	if err != nil || len(view.Removed) != 1 || !strings.HasSuffix(view.Removed[0].Path, first.Run) {
		t.Fatalf("gc removed %+v, %v", view, err)
	}
	o, err := h.Run(t.Context(), plan, engine.RunOptions{})
	if err != nil {
		t.Fatal(err)
	}
	if v := h.status(o.Run); outcomes(v) != "a=succeeded b=succeeded c=succeeded" {
		t.Errorf("%s", outcomes(v))
	}
	outputsThere(t, dir, h.status(o.Run))
	checkClean(t, dir)
}

// TestGC_AfterTheRunIsStored: what a run reuses is safe as soon as the run is stored, while its
// engine is at work and after.
func TestGC_AfterTheRunIsStored(t *testing.T) {
	dir := project(t, chain)
	h := open(t, dir)
	first := h.run(engine.Selection{}, nil)
	other := open(t, dir)
	var once sync.Once
	h = open(t, dir, func(o *engine.Options) {
		listen := o.Listener
		o.Listener = func(e engine.Event) {
			listen(e)
			if e.Kind == engine.RunStarted {
				once.Do(func() {
					if view, err := other.GC(t.Context(), state.GCPolicy{ByCount: true}); err != nil || len(view.Removed) > 0 {
						t.Errorf("gc removed %+v, %v", view, err)
					}
				})
			}
		}
	})
	v := h.run(engine.Selection{}, nil)
	if outcomes(v) != "a=cached b=cached c=cached" || v.Stages[0].FromRun != first.Run {
		t.Errorf("%s from %s", outcomes(v), v.Stages[0].FromRun)
	}
	outputsThere(t, dir, v)
	// The newest run stays, and with it the one that it reuses.
	if view, err := other.GC(t.Context(), state.GCPolicy{ByCount: true, Keep: 1}); err != nil || len(view.Removed) > 0 {
		t.Errorf("gc removed %+v, %v", view, err)
	}
	checkClean(t, dir)
}

// TestGC_BesideRuns: an engine and a collector, each a process, over and over. Every run succeeds
// and its outputs are there, however the two interleave.
func TestGC_BesideRuns(t *testing.T) {
	dir := project(t, chain)
	rounds := 12
	if testing.Short() {
		rounds = 4
	}
	for i := range rounds {
		// Every third run does new work, so that there is something to remove and to reuse.
		if i%3 == 0 {
			write(t, filepath.Join(dir, "so8t.yaml"), strings.Replace(chain, "seed: 2", fmt.Sprintf("seed: %d", 100+i), 1))
		}
		var wg sync.WaitGroup
		for _, verb := range []string{"run", "gc", "gc"} {
			wg.Go(func() {
				if code, errs := engineProcess(t, verb, dir); code != 0 {
					t.Errorf("round %d: %s: exit %d: %s", i, verb, code, errs)
				}
			})
		}
		wg.Wait()
		h := open(t, dir)
		id, err := h.FindRun(t.Context(), "latest")
		if err != nil {
			t.Fatal(err)
		}
		outputsThere(t, dir, h.status(id))
		checkClean(t, dir)
		if t.Failed() {
			t.Fatalf("in round %d", i)
		}
	}
}

func outputsThere(t *testing.T, dir string, v *engine.StatusView) {
	t.Helper()
	for _, s := range v.Stages {
		for name, o := range s.Outputs {
			if _, err := os.Stat(filepath.Join(dir, filepath.FromSlash(o.Path))); err != nil {
				t.Errorf("output %s of stage %s (%s): %v", name, s.Instance, s.Outcome, err)
			}
		}
	}
}

// TestGC_KilledBeforeEveryDurableStep kills a collection before its k-th commit, rename or removal.
// What is left is consistent, and the next collection finishes.
func TestGC_KilledBeforeEveryDurableStep(t *testing.T) {
	prepare := func() string {
		dir := project(t, chain)
		h := open(t, dir)
		for i := range 3 {
			write(t, filepath.Join(dir, "so8t.yaml"), strings.ReplaceAll(chain, "${params.seed}\"", fmt.Sprintf("${params.seed}\", checkpoint_every: %d, steps: %d", i+1, 2*i+3)))
			h.run(engine.Selection{}, nil)
		}
		return dir
	}
	whole := prepare()
	log := filepath.Join(t.TempDir(), "steps")
	if code, errs := engineProcess(t, "gc", whole, "SO8T_CRASH_LOG="+log); code != 0 {
		t.Fatalf("exit %d: %s", code, errs)
	}
	if got := len(runFolders(t, whole)); got != 1 {
		t.Fatalf("%d runs are left", got)
	}
	steps, kinds := readSteps(t, log)
	t.Logf("%d durable steps: %v", steps, kinds)
	if steps < 6 {
		t.Fatal("that is too few")
	}
	want := artifacts(t, whole, "latest")
	for k := 1; k <= steps; k++ {
		t.Run(fmt.Sprint(k), func(t *testing.T) {
			t.Parallel()
			dir := prepare()
			if code, errs := engineProcess(t, "gc", dir, fmt.Sprintf("SO8T_CRASH_AT=%d", k)); code != -1 {
				t.Fatalf("exit %d instead of being killed: %s", code, errs)
			}
			checkClean(t, dir)
			if got := artifacts(t, dir, "latest"); got != want {
				t.Errorf("artifacts of the kept run:\n%s\nwant\n%s", got, want)
			}
			if code, errs := engineProcess(t, "gc", dir); code != 0 {
				t.Fatalf("the next gc: exit %d: %s", code, errs)
			}
			if got := runFolders(t, dir); len(got) != 1 {
				t.Errorf("after the next gc: runs %v", got)
			}
			if trash, _ := os.ReadDir(filepath.Join(dir, ".so8t", "trash")); len(trash) > 0 {
				t.Errorf("the trash holds %v", trash)
			}
			if got := artifacts(t, dir, "latest"); got != want {
				t.Errorf("artifacts after the next gc:\n%s\nwant\n%s", got, want)
			}
			checkClean(t, dir)
		})
	}
}

func runFolders(t *testing.T, dir string) []string {
	t.Helper()
	entries, err := os.ReadDir(filepath.Join(dir, ".so8t", "runs"))
	if err != nil {
		t.Fatal(err)
	}
	var names []string
	for _, e := range entries {
		names = append(names, e.Name())
	}
	return names
}
