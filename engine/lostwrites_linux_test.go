package engine_test

import (
	"bytes"
	"crypto/sha256"
	"encoding/gob"
	"encoding/json"
	"fmt"
	"math/rand/v2"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"testing"
)

// traceRun runs an engine on dir under the tracer.
func traceRun(t *testing.T, verb, dir, fault string, env ...string) traced {
	t.Helper()
	result := filepath.Join(t.TempDir(), "traced")
	cmd := exec.Command(os.Args[0], "__trace", result, dir, fault, os.Args[0], "__engine", verb, dir)
	cmd.Env = append(childEnviron(), env...)
	var errs bytes.Buffer
	cmd.Stderr = &errs
	if err := cmd.Run(); err != nil {
		if strings.Contains(errs.String(), "operation not permitted") {
			t.Skipf("tracing a process: %s", &errs)
		}
		t.Fatalf("tracing: %v: %s", err, &errs)
	}
	f, err := os.Open(result)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	var r traced
	if err := gob.NewDecoder(f).Decode(&r); err != nil {
		t.Fatal(err)
	}
	r.Errs = errs.String()
	return r
}

// survivals are the ways in which a power cut treats what was not synced.
func survivals(r *rand.Rand) []survival {
	always, never := func() bool { return true }, func() bool { return false }
	coin := func() bool { return r.IntN(2) == 0 }
	return []survival{
		{"nothing else", never, never},
		{"names without data", always, never},
		{"data without names", never, always},
		{"some of each", coin, coin},
		{"most of each", func() bool { return r.IntN(8) > 0 }, func() bool { return r.IntN(8) > 0 }},
		{"everything", always, always},
	}
}

// TestRun_PowerCutAtAnyOperation records every write, sync and rename of a run, of the engine and of
// its plugins, and then makes the disks that a power cut at any of these operations could leave: with
// all, some or nothing of what was not synced. On each of them nothing that the engine had
// reported as done is lost, and the same command ends with the same artifacts.
func TestRun_PowerCutAtAnyOperation(t *testing.T) {
	t.Parallel()
	dir := project(t, six)
	d, err := newDisk(dir)
	if err != nil {
		t.Fatal(err)
	}
	r := traceRun(t, "run", dir, "")
	if r.Exit != 0 {
		t.Fatalf("the traced run failed: %s", r.Errs)
	}
	powerCuts(t, d, r.Ops, 0, dir, artifacts(t, dir, "latest"))
}

// TestRun_PowerCutAfterAKill: the engine is killed, what the same command finds is put in order and
// gone on with, and then the power fails: what the second engine took over from the first must not
// have been in memory only.
func TestRun_PowerCutAfterAKill(t *testing.T) {
	t.Parallel()
	log := filepath.Join(t.TempDir(), "steps")
	whole := project(t, checkpointed)
	if code, errs := engineProcess(t, "run", whole, "SO8T_CRASH_LOG="+log); code != 0 {
		t.Fatalf("uninterrupted run: exit %d: %s", code, errs)
	}
	want := artifacts(t, whole, "latest")
	steps, _ := readSteps(t, log)
	every := 7 // durable steps of the engine between two kills
	if !fullTest() {
		every = steps / 2
	}
	for k := every; k <= steps; k += every {
		dir := project(t, checkpointed)
		d, err := newDisk(dir)
		if err != nil {
			t.Fatal(err)
		}
		first := traceRun(t, "run", dir, "", "SO8T_CRASH_AT="+strconv.Itoa(k))
		second := traceRun(t, "run", dir, "")
		if first.Exit != -1 || second.Exit != 0 {
			t.Fatalf("killed before step %d: exit %d, then %d: %s", k, first.Exit, second.Exit, second.Errs)
		}
		all := slices.Clone(first.Ops)
		for _, op := range second.Ops[1:] { // standard output is there already
			op.Covers += len(first.Ops) - 1
			all = append(all, op)
		}
		powerCuts(t, d, all, len(first.Ops), dir, want)
	}
}

// six stages that pass artifacts on and checkpoint; a diamond and a tail.
const six = `
version: 1
name: six
stages:
  a: { uses: noop, with: { steps: 4, checkpoint_every: 2 } }
  b: { uses: noop, with: { steps: 3, checkpoint_every: 1, inputs: ["${stages.a.outputs.out}"] } }
  c: { uses: noop, with: { seed: 1, inputs: ["${stages.a.outputs.out}"] } }
  d: { uses: noop, with: { seed: 2, steps: 4, checkpoint_every: 2, inputs: ["${stages.b.outputs.out}", "${stages.c.outputs.out}"] } }
  e: { uses: probe, with: { input: "${stages.d.outputs.out}" } }
  f: { uses: noop, with: { seed: 3, inputs: ["${stages.e.outputs.tree}"] } }
`

// checkpointed is a stage with checkpoints between two others.
const checkpointed = `
version: 1
name: checkpointed
stages:
  a: { uses: noop }
  b: { uses: noop, with: { steps: 4, checkpoint_every: 1, inputs: ["${stages.a.outputs.out}"] } }
  c: { uses: noop, with: { seed: 1, inputs: ["${stages.b.outputs.out}"] } }
`

// powerCuts goes through the different disks that a log could leave from an operation on.
func powerCuts(t *testing.T, d *disk, ops []diskOp, from int, root, want string) {
	t.Helper()
	if err := d.replay(root, ops); err != nil {
		t.Fatal(err)
	}
	kinds := map[opKind]int{}
	for _, op := range ops {
		kinds[op.Kind]++
	}
	every := 67 // disks between two that are tried; no multiple of the number of survivals
	if fullTest() {
		every = 1
	}
	const seed = 1
	type crash struct {
		disk    [sha256.Size]byte
		claimed int
	}
	seen := map[crash]bool{}
	tried := 0
	for k := from; k <= len(ops); k++ {
		claimed := claims(ops[:k], root)
		for _, s := range survivals(rand.New(rand.NewPCG(seed, uint64(k)))) {
			left := d.crash(k, s)
			delete(left, stdoutName)
			key := crash{left.key(), len(claimed)}
			if seen[key] {
				continue
			}
			if seen[key] = true; len(seen)%every != 0 {
				continue
			}
			tried++
			t.Run(fmt.Sprintf("%d/%s", k, s.name), func(t *testing.T) {
				t.Parallel()
				if afterPowerCut(t, left, claimed, want); t.Failed() && k > 0 {
					t.Logf("the last operation was %s", ops[k-1])
				}
			})
		}
	}
	t.Logf("%d operations %v can leave %d different disks; %d of them tried, seed %d", len(ops)-from, kinds, len(seen), tried, seed)
}

// fullTest asks for what takes minutes: every point instead of some.
func fullTest() bool { return os.Getenv("SO8T_TEST_FULL") != "" }

// claims reads what the engine had told in the first operations.
func claims(ops []diskOp, root string) []claim {
	var text []byte
	for _, op := range ops {
		if op.Kind == opWrite && op.Path == filepath.Join(root, stdoutName) {
			text = append(text, op.Data...)
		}
	}
	return claimsIn(text)
}

// claimsIn reads the lines of an engine.
func claimsIn(text []byte) []claim {
	var all []claim
	for line := range strings.Lines(string(text)) {
		var c claim
		if json.Unmarshal([]byte(line), &c) == nil && (c.Event == "run_started" || c.Event == "stage_ended" && c.Outcome == "succeeded") {
			all = append(all, c)
		}
	}
	return all
}

// afterPowerCut puts a disk into a folder of its own and starts the engine there.
func afterPowerCut(t *testing.T, left tree, claimed []claim, want string) {
	t.Helper()
	dir := t.TempDir()
	if err := left.write(dir); err != nil {
		t.Fatal(err)
	}
	goesOn(t, "run", dir, claimed, want)
}
