package engine_test

import (
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
)

// shape is a workflow of the crash sweeps.
type shape struct {
	name, yaml string
	// stages are those that the stage side of the sweep kills.
	stages []string
}

// shapes of workflows. Each stage writes a line into the file trace when it starts and ends.
var shapes = []shape{
	{"chain", `
  a: { uses: noop, with: { trace: trace } }
  b: { uses: noop, with: { trace: trace, inputs: ["${stages.a.outputs.out}"] } }
  c: { uses: probe, with: { input: "${stages.b.outputs.out}" } }
  d: { uses: noop, with: { seed: 1, trace: trace, inputs: ["${stages.c.outputs.tree}"] } }
`, []string{"b", "c"}},
	{"fan", `
  a: { uses: noop, with: { trace: trace } }
  b: { uses: noop, with: { seed: 1, trace: trace, inputs: ["${stages.a.outputs.out}"] } }
  c: { uses: noop, with: { seed: 2, trace: trace, inputs: ["${stages.a.outputs.out}"] } }
  d: { uses: noop, with: { seed: 3, trace: trace, inputs: ["${stages.a.outputs.out}"] } }
`, []string{"a"}},
	{"diamond", `
  a: { uses: noop, with: { trace: trace } }
  b: { uses: noop, with: { seed: 1, trace: trace, inputs: ["${stages.a.outputs.out}"] } }
  c: { uses: noop, with: { seed: 2, trace: trace, inputs: ["${stages.a.outputs.out}"] } }
  d: { uses: noop, with: { seed: 3, trace: trace, inputs: ["${stages.b.outputs.out}", "${stages.c.outputs.out}"] } }
`, []string{"d"}},
	{"matrix", `
  a: { uses: noop, matrix: { r: [1, 2] }, with: { seed: "${matrix.r}", trace: trace } }
  b: { uses: noop, matrix: { r: [1, 2] }, with: { seed: "${matrix.r}", steps: 2, trace: trace, inputs: ["${stages.a.outputs.out}"] } }
  c: { uses: noop, with: { seed: 3, trace: trace, inputs: "${stages.b.outputs.out}" } }
`, []string{"b"}},
	{"retry", `
  a: { uses: noop, retry: { max: 3, backoff: 1ms }, with: { steps: 4, checkpoint_every: 2, fail_at: 3, fail_times: 2, trace: trace } }
  b: { uses: noop, with: { seed: 1, trace: trace, inputs: ["${stages.a.outputs.out}"] } }
`, []string{"b"}},
	{"skip", `
  a: { uses: noop, with: { trace: trace } }
  b: { uses: noop, needs: [a], with: { skip: no need, trace: trace } }
  c: { uses: noop, with: { seed: 1, trace: trace, inputs: ["${stages.b.outputs.out}"] } }
  d: { uses: noop, needs: [b], with: { seed: 2, trace: trace, inputs: ["${stages.a.outputs.out}"] } }
`, []string{"d"}},
	{"checkpoint", `
  a: { uses: noop, with: { steps: 4, checkpoint_every: 1, trace: trace } }
  b: { uses: noop, with: { seed: 1, steps: 5, checkpoint_every: 2, trace: trace, inputs: ["${stages.a.outputs.out}"] } }
`, []string{"a", "b"}},
}

func (s shape) workflow() string { return "version: 1\nname: " + s.name + "\nstages:" + s.yaml }

// uninterrupted runs the workflow to its end and returns its artifacts and its durable steps.
func (s shape) uninterrupted(t *testing.T) (want string, steps []string) {
	t.Helper()
	dir, log := project(t, s.workflow()), filepath.Join(t.TempDir(), "steps")
	if code, errs := engineProcess(t, "run", dir, "SO8T_CRASH_LOG="+log); code != 0 {
		t.Fatalf("uninterrupted run: exit %d: %s", code, errs)
	}
	return artifacts(t, dir, "latest"), stepNames(t, log)
}

// sample picks the durable steps to be killed before: all in a full test, else the first of each
// kind and some between.
func sample(steps []string) []int {
	const every = 11
	var picked []int
	seen := map[string]bool{}
	for i, step := range steps {
		kind, _, _ := strings.Cut(step, " ")
		if fullTest() || !seen[kind] || i%every == every-1 || i == len(steps)-1 {
			picked = append(picked, i+1)
		}
		seen[kind] = true
	}
	return picked
}

// TestSweep_EngineKilledBeforeDurableSteps kills the engine just before its k-th commit, journal
// sync, rename or plugin start, looks at what is left, and lets the same command, or a resume,
// finish it.
func TestSweep_EngineKilledBeforeDurableSteps(t *testing.T) {
	for _, s := range shapes {
		t.Run(s.name, func(t *testing.T) {
			t.Parallel()
			want, steps := s.uninterrupted(t)
			points := sample(steps)
			t.Logf("%s: killed before %d of %d durable steps %v", s.name, len(points), len(steps), kindsOf(steps))
			if len(steps) < 15 {
				t.Errorf("that is too few")
			}
			for _, k := range points {
				t.Run(strconv.Itoa(k), func(t *testing.T) {
					t.Parallel()
					s.killedAt(t, k, want)
				})
			}
		})
	}
}

func (s shape) killedAt(t *testing.T, k int, want string) {
	dir := project(t, s.workflow())
	code, errs := engineProcess(t, "run", dir, "SO8T_CRASH_AT="+strconv.Itoa(k))
	if code != -1 {
		t.Fatalf("exit %d instead of being killed: %s", code, errs)
	}
	goesOn(t, verbAfter(t, dir, k), dir, nil, want)
}

// verbAfter is the command after a crash: the same again, or every other time a resume, if the crash
// left a run.
func verbAfter(t *testing.T, dir string, k int) string {
	t.Helper()
	if _, err := open(t, dir).FindRun(t.Context(), "latest"); err == nil && k%2 == 0 {
		return "resume:"
	}
	return "run"
}

// TestSweep_StageKilledBeforeDurableSteps does the same inside stages: before each of the syncs and
// renames of their checkpoints, outputs and manifests.
func TestSweep_StageKilledBeforeDurableSteps(t *testing.T) {
	every := 7
	if fullTest() {
		every = 1
	}
	for _, s := range shapes {
		for _, stage := range s.stages {
			t.Run(s.name+"/"+stage, func(t *testing.T) {
				t.Parallel()
				want, _ := s.uninterrupted(t)
				k := 1
				points := 0
				for ; s.stageKilledAt(t, stage, k, want); k += every {
					if points++; t.Failed() {
						t.Fatalf("at step %d", k)
					}
				}
				t.Logf("stage %s of %s: killed before %d of its durable steps, every %d", stage, s.name, points, every)
				if k < 4 {
					t.Errorf("that is too few")
				}
			})
		}
	}
}

// stageKilledAt reports whether the stage has a k-th durable step.
func (s shape) stageKilledAt(t *testing.T, stage string, k int, want string) bool {
	t.Helper()
	dir := project(t, s.workflow())
	code, errs := engineProcess(t, "run", dir, fmt.Sprintf("SO8T_CRASH_STAGE=%s:%d", stage, k))
	if code == 0 {
		return false
	}
	if code != 1 {
		t.Fatalf("step %d: exit %d: %s", k, code, errs)
	}
	h := open(t, dir)
	id, err := h.FindRun(t.Context(), "latest")
	if err != nil {
		t.Fatal(err)
	}
	for _, v := range h.status(id).Stages {
		if v.Stage == stage && v.Outcome == "failed" && v.Error.Code != "crashed" {
			t.Errorf("step %d: %s: %+v", k, v.Instance, v.Error)
		}
	}
	goesOn(t, verbAfter(t, dir, k), dir, nil, want)
	return true
}

// TestSweep_KilledDuringRecovery kills a resume, a collection and a repair before any change that
// they would make to a file, and then lets the workflow go on.
func TestSweep_KilledDuringRecovery(t *testing.T) {
	t.Parallel()
	s := shapes[len(shapes)-1]
	want, steps := s.uninterrupted(t)
	crashed := project(t, s.workflow())
	if code, errs := engineProcess(t, "run", crashed, fmt.Sprintf("SO8T_CRASH_AT=%d", len(steps)*3/4)); code != -1 {
		t.Fatalf("exit %d instead of being killed: %s", code, errs)
	}
	done := project(t, s.workflow())
	for range 3 {
		if code, errs := engineProcess(t, "run", done); code != 0 {
			t.Fatalf("exit %d: %s", code, errs)
		}
	}
	lost := project(t, s.workflow())
	if code, errs := engineProcess(t, "run", lost); code != 0 {
		t.Fatalf("exit %d: %s", code, errs)
	}
	if err := os.Truncate(filepath.Join(lost, ".so8t", "state.db"), 0); err != nil {
		t.Fatal(err)
	}
	for verb, from := range map[string]string{"resume:": crashed, "gc": done, "repair": lost} {
		t.Run(verb, func(t *testing.T) {
			t.Parallel()
			whole := traceRun(t, verb, copied(t, from), "1000000 KILL")
			if whole.Exit != 0 || whole.Seen < 5 {
				t.Fatalf("exit %d after %d changes: %s", whole.Exit, whole.Seen, whole.Errs)
			}
			every := max(1, whole.Seen/4)
			if fullTest() {
				every = 1
			}
			points := 0
			for n := 1; n <= whole.Seen; n += every {
				points++
				t.Run(strconv.Itoa(n), func(t *testing.T) {
					t.Parallel()
					killedDuring(t, verb, copied(t, from), n, want)
				})
			}
			t.Logf("%s: killed before %d of %d changes", verb, points, whole.Seen)
		})
	}
}

func killedDuring(t *testing.T, verb, dir string, n int, want string) {
	r := traceRun(t, verb, dir, fmt.Sprintf("%d KILL", n))
	if r.Exit == 0 {
		return // its changes are not quite the same every time
	}
	if r.Exit != -1 {
		t.Fatalf("exit %d instead of being killed: %s", r.Exit, r.Errs)
	}
	if verb == "repair" {
		if code, errs := engineProcess(t, verb, dir); code != 0 {
			t.Fatalf("repairing again: exit %d: %s", code, errs)
		}
	}
	if goesOn(t, "run", dir, claims(r.Ops, dir), want); t.Failed() {
		t.Logf("it was killed before %s", r.Struck)
	}
}

// copied is a copy of a project.
func copied(t *testing.T, from string) string {
	t.Helper()
	dir := t.TempDir()
	if err := os.CopyFS(dir, os.DirFS(from)); err != nil {
		t.Fatal(err)
	}
	return dir
}
