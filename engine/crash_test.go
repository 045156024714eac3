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

// engineProcess runs an engine on dir in a process of its own and returns its exit code, -1 when a
// signal ended it.
func engineProcess(t *testing.T, verb, dir string, env ...string) (int, string) {
	t.Helper()
	cmd := exec.Command(os.Args[0], "__engine", verb, dir)
	cmd.Dir = dir // where a stage that has nothing to do yet is found too
	cmd.Env = append(childEnviron(), env...)
	var out, errs bytes.Buffer
	cmd.Stdout, cmd.Stderr = &out, &errs
	err := cmd.Run()
	if err != nil && cmd.ProcessState == nil {
		t.Fatal(err)
	}
	return cmd.ProcessState.ExitCode(), errs.String()
}

// goesOn starts the same command in a folder that some accident happened to, or goes on with the run
// of the accident: nothing that had been told is lost, nothing that is done is done again, nothing is
// left running, and the artifacts are those of an uninterrupted run.
func goesOn(t *testing.T, verb, dir string, claimed []claim, want string) {
	t.Helper()
	h := open(t, dir)
	noProcessLeft(t, dir)
	done := committed(t, h)
	for _, c := range claimed {
		if _, err := h.FindRun(t.Context(), c.Run); err != nil {
			t.Errorf("run %s had been told of: %v", c.Run, err)
		}
		if c.Event == "stage_ended" && !done[c.Instance] {
			t.Errorf("stage %s had been reported as done and is not", c.Instance)
		}
	}
	checkClean(t, dir)
	before := trace(t, dir)
	if code, errs := engineProcess(t, verb, dir); code != 0 {
		t.Fatalf("%s after that: exit %d: %s", verb, code, errs)
	}
	if got := artifacts(t, dir, "latest"); got != want {
		t.Errorf("artifacts differ from an uninterrupted run's:\n%s\nwant\n%s", got, want)
	}
	id, err := h.FindRun(t.Context(), "latest")
	if err != nil {
		t.Fatal(err)
	}
	for _, s := range h.status(id).Stages {
		if done[s.Instance] && s.Outcome != "cached" && (verb == "run" || s.Outcome != "succeeded") {
			t.Errorf("stage %s had been committed and came back as %s: %s", s.Instance, s.Outcome, s.Reason)
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

// childEnviron is for engines in processes of their own: the race detector makes every exit wait a
// second, for reports that come late, and these tests start hundreds.
func childEnviron() []string {
	if raceDetector {
		return append(os.Environ(), "GORACE=atexit_sleep_ms=0")
	}
	return os.Environ()
}

// claim is an event of a run that began or of a stage that is done: from then on it is true.
type claim struct{ Run, Event, Instance, Outcome string }

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
	steps := stepNames(t, path)
	return len(steps), kindsOf(steps)
}

// stepNames are the lines of SO8T_CRASH_LOG without their numbers: "commit run", "rename a/1/…".
func stepNames(t *testing.T, path string) []string {
	t.Helper()
	text, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	var steps []string
	for line := range strings.Lines(string(text)) {
		number, name, found := strings.Cut(strings.TrimSpace(line), " ")
		if steps = append(steps, name); !found || number != strconv.Itoa(len(steps)) {
			t.Fatalf("line %d of the log is %q", len(steps), line)
		}
	}
	return steps
}

func kindsOf(steps []string) map[string]int {
	kinds := map[string]int{}
	for _, step := range steps {
		kind, _, _ := strings.Cut(step, " ")
		kinds[kind]++
	}
	return kinds
}

// noProcessLeft looks at every process of the machine for one that runs this binary as a stage and
// works for the project in dir. A killed process may take a moment to be gone.
func noProcessLeft(t testing.TB, dir string) {
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
	if left, err := os.ReadDir(filepath.Join(dir, ".so8t", "locks")); err != nil || len(left) > 0 {
		t.Errorf("lock files of the killed run: %v, error %v", left, err)
	}
	checkClean(t, dir)
}
