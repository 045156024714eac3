//go:build linux

package engine_test

import (
	"bytes"
	"crypto/sha256"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"testing"

	"github.com/so8t/so8t/engine"
	"github.com/so8t/so8t/plugins/manifest"
	"github.com/so8t/so8t/state"
)

// six stages that pass artifacts on and checkpoint; a diamond and a tail.
const six = `
version: 1
name: six
stages:
  a: { uses: noop, with: { steps: 4, checkpoint_every: 2, trace: trace } }
  b: { uses: noop, with: { steps: 3, checkpoint_every: 1, trace: trace, inputs: ["${stages.a.outputs.out}"] } }
  c: { uses: noop, with: { seed: 1, trace: trace, inputs: ["${stages.a.outputs.out}"] } }
  d: { uses: noop, with: { seed: 2, steps: 4, checkpoint_every: 2, trace: trace, inputs: ["${stages.b.outputs.out}", "${stages.c.outputs.out}"] } }
  e: { uses: probe, with: { input: "${stages.d.outputs.out}" } }
  f: { uses: noop, with: { seed: 3, trace: trace, inputs: ["${stages.e.outputs.tree}"] } }
`

// engineProcess runs an engine on dir in a process of its own and returns its exit code, -1 when a
// signal ended it.
func engineProcess(t *testing.T, verb, dir string, env ...string) (int, string) {
	t.Helper()
	cmd := exec.Command(os.Args[0], "__engine", verb, dir)
	cmd.Env = append(os.Environ(), env...)
	var out, errs bytes.Buffer
	cmd.Stdout, cmd.Stderr = &out, &errs
	err := cmd.Run()
	if err != nil && cmd.ProcessState == nil {
		t.Fatal(err)
	}
	return cmd.ProcessState.ExitCode(), errs.String()
}

// TestRun_KilledBeforeEveryDurableStep_SameCommandFinishes kills the engine just before its k-th
// commit, journal sync, rename or plugin start, for every k, and looks at what is left and at what
// the same command then makes of it.
func TestRun_KilledBeforeEveryDurableStep_SameCommandFinishes(t *testing.T) {
	whole := project(t, six)
	log := filepath.Join(t.TempDir(), "steps")
	if code, errs := engineProcess(t, "run", whole, "SO8T_CRASH_LOG="+log); code != 0 {
		t.Fatalf("uninterrupted run: exit %d: %s", code, errs)
	}
	want := artifacts(t, whole, "latest")
	steps, kinds := readSteps(t, log)
	t.Logf("%d durable steps: %v", steps, kinds)
	if steps < 30 {
		t.Fatalf("only %d durable steps for six stages", steps)
	}
	if testing.Short() {
		steps = 12
	}
	for k := 1; k <= steps; k++ {
		t.Run(strconv.Itoa(k), func(t *testing.T) {
			t.Parallel()
			dir := project(t, six)
			code, errs := engineProcess(t, "run", dir, "SO8T_CRASH_AT="+strconv.Itoa(k))
			if code != -1 {
				t.Fatalf("exit %d instead of being killed: %s", code, errs)
			}
			afterCrash(t, dir, want)
		})
	}
}

func afterCrash(t *testing.T, dir, want string) {
	t.Helper()
	h := open(t, dir)
	noProcessLeft(t, dir)
	done := committed(t, h)
	before := trace(t, dir)
	if code, errs := engineProcess(t, "run", dir); code != 0 {
		t.Fatalf("the same command again: exit %d: %s", code, errs)
	}
	if got := artifacts(t, dir, "latest"); got != want {
		t.Errorf("artifacts differ from an uninterrupted run's:\n%s\nwant\n%s", got, want)
	}
	id, err := h.FindRun(t.Context(), "latest")
	if err != nil {
		t.Fatal(err)
	}
	for _, s := range h.status(id).Stages {
		if done[s.Instance] && s.Outcome != "cached" {
			t.Errorf("stage %s had been committed and came back as %s", s.Instance, s.Outcome)
		}
	}
	again := strings.TrimPrefix(trace(t, dir), before)
	for stage := range done {
		if strings.Contains(again, stage+" start") {
			t.Errorf("stage %s had been committed and ran again", stage)
		}
	}
	noProcessLeft(t, dir)
	checkClean(t, dir)
}

// committed are the stages that succeeded, by what status says right after the crash; it must not
// call anything running.
func committed(t *testing.T, h *harness) map[string]bool {
	t.Helper()
	done := map[string]bool{}
	runs, err := h.Runs(t.Context(), engine.RunsFilter{})
	if err != nil {
		t.Fatal(err)
	}
	for _, r := range runs.Runs {
		v := h.status(r.Run)
		if v.State == "running" || v.Engine.Alive {
			t.Errorf("status says %q of a run whose engine was killed", v.State)
		}
		for _, s := range v.Stages {
			if s.Outcome == "running" {
				t.Errorf("status says that stage %s runs", s.Instance)
			}
			if s.Outcome == "succeeded" {
				done[s.Instance] = true
			}
		}
	}
	return done
}

// artifacts lists the outputs of a run that are no measurements, with the digests of their bytes
// as they are on disk.
func artifacts(t *testing.T, dir, run string) string {
	t.Helper()
	h := open(t, dir)
	id, err := h.FindRun(t.Context(), run)
	if err != nil {
		t.Fatal(err)
	}
	var b strings.Builder
	for _, s := range h.status(id).Stages {
		for _, name := range []string{"out", "tree"} {
			if o, ok := s.Outputs[name]; ok {
				fmt.Fprintf(&b, "%s %s %x\n", s.Instance, name, digestTree(t, filepath.Join(dir, filepath.FromSlash(o.Path))))
			}
		}
	}
	return b.String()
}

func digestTree(t *testing.T, root string) []byte {
	t.Helper()
	sum := sha256.New()
	err := filepath.WalkDir(root, func(path string, entry os.DirEntry, err error) error {
		if err != nil || entry.IsDir() {
			return err
		}
		text, err := os.ReadFile(path)
		fmt.Fprintf(sum, "%s %d %s", strings.TrimPrefix(path, root), len(text), text)
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	return sum.Sum(nil)
}

// readSteps counts the lines of SO8T_CRASH_LOG in all and by kind.
func readSteps(t *testing.T, path string) (int, map[string]int) {
	t.Helper()
	text, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	kinds := map[string]int{}
	n := 0
	for line := range strings.Lines(string(text)) {
		fields := strings.Fields(line)
		n++
		if len(fields) < 2 || fields[0] != strconv.Itoa(n) {
			t.Fatalf("line %d of the log is %q", n, line)
		}
		kinds[fields[1]]++
	}
	return n, kinds
}

// noProcessLeft looks at every process of the machine for one that runs this binary as a stage and
// works for the project in dir. A killed process may take a moment to be gone.
func noProcessLeft(t *testing.T, dir string) {
	t.Helper()
	for _, pid := range processesOf(t, dir) {
		// What is left must be on its way: signal 0 to a zombie or a process being torn down.
		if err := waitGone(pid); err != nil {
			t.Errorf("process %d works for %s: %v", pid, dir, err)
		}
	}
}

func waitGone(pid int) error {
	fd, err := openPID(pid)
	if err != nil {
		return nil // gone
	}
	defer syscall.Close(fd)
	return awaitPID(fd)
}

func checkClean(t *testing.T, dir string) {
	t.Helper()
	findings, err := state.Check(t.Context(), filepath.Join(dir, ".so8t"), state.CheckOptions{VerifyAttempt: func(folder string) error {
		_, err := manifest.VerifyOutputs(filepath.Join(folder, "out"), manifest.Contents)
		return err
	}})
	if err != nil {
		t.Fatal(err)
	}
	for _, f := range findings {
		if f.Severity != state.Note {
			t.Errorf("check: %+v", f)
		}
	}
}

// TestRun_KilledBetweenManifestAndCommit_IsAdopted kills the engine when a stage has finished, just
// before the transaction that says so: its work is not done again.
func TestRun_KilledBetweenManifestAndCommit_IsAdopted(t *testing.T) {
	log := filepath.Join(t.TempDir(), "steps")
	if code, errs := engineProcess(t, "run", project(t, chain), "SO8T_CRASH_LOG="+log); code != 0 {
		t.Fatalf("uninterrupted run: exit %d: %s", code, errs)
	}
	text, err := os.ReadFile(log)
	if err != nil {
		t.Fatal(err)
	}
	// The last journal sync of stage b: what it names is the last record of that transaction.
	at := ""
	for line := range strings.Lines(string(text)) {
		if strings.Contains(line, "journal parts b") {
			at, _, _ = strings.Cut(line, " ")
		}
	}
	dir := project(t, strings.ReplaceAll(chain, "with: {", "with: { trace: trace, metrics: { m: 1.5 },"))
	if code, _ := engineProcess(t, "run", dir, "SO8T_CRASH_AT="+at); code != -1 {
		t.Fatalf("step %q: exit %d instead of being killed", at, code)
	}
	h := open(t, dir)
	v := h.run(engine.Selection{}, nil)
	if outcomes(v) != "a=cached b=cached c=succeeded" || v.Stages[1].Metrics["m"] != 1.5 {
		t.Errorf("%s, metrics %v", outcomes(v), v.Stages[1].Metrics)
	}
	if got := strings.Count(trace(t, dir), "b start"); got != 1 {
		t.Errorf("stage b ran %d times", got)
	}
	runs, err := h.Runs(t.Context(), engine.RunsFilter{})
	if err != nil || len(runs.Runs) != 2 || runs.Runs[1].State != "interrupted" || runs.Runs[1].Stages["succeeded"] != 2 {
		t.Errorf("runs %+v, error %v", runs, err)
	}
	checkClean(t, dir)
}

// TestRun_StageKilledBeforeEveryDurableStep does the same inside a stage that writes checkpoints and
// outputs: before each of its syncs and renames.
func TestRun_StageKilledBeforeEveryDurableStep(t *testing.T) {
	const two = `
version: 1
name: two
stages:
  a: { uses: noop, with: { steps: 3, checkpoint_every: 1, trace: trace } }
  b: { uses: noop, with: { seed: 1, trace: trace, inputs: ["${stages.a.outputs.out}"] } }
`
	whole := project(t, two)
	if code, errs := engineProcess(t, "run", whole); code != 0 {
		t.Fatalf("uninterrupted run: exit %d: %s", code, errs)
	}
	want := artifacts(t, whole, "latest")
	for k := 1; ; k++ {
		dir := project(t, two)
		code, errs := engineProcess(t, "run", dir, fmt.Sprintf("SO8T_CRASH_STAGE=a:%d", k))
		if code == 0 {
			t.Logf("%d durable steps in the stage", k-1)
			if k < 15 {
				t.Errorf("two checkpoints and an output take more than %d steps", k-1)
			}
			return
		}
		if code != 1 {
			t.Fatalf("step %d: exit %d: %s", k, code, errs)
		}
		h := open(t, dir)
		id, err := h.FindRun(t.Context(), "latest")
		if err != nil {
			t.Fatal(err)
		}
		if s := h.status(id).Stages[0]; s.Error == nil || s.Error.Code != "crashed" {
			t.Errorf("step %d: error %+v", k, s.Error)
		}
		afterCrash(t, dir, want)
		if t.Failed() {
			t.Fatalf("at step %d", k)
		}
	}
}
