package engine_test

import (
	"bytes"
	"fmt"
	"os"
	"path/filepath"
	"testing"

	"github.com/so8t/so8t/engine"
	"github.com/so8t/so8t/state"
)

// exported runs chain twice, so that the second run reuses a stage of the first, and exports that.
func exported(t *testing.T) (dir, file, run string) {
	t.Helper()
	dir = project(t, chain)
	h := open(t, dir)
	h.run(engine.Selection{}, nil)
	v := h.run(engine.Selection{Force: []string{"b", "c"}}, nil)
	var out bytes.Buffer
	if err := h.Export(t.Context(), v.Run, &out, engine.ExportOptions{Artifacts: true, Gzip: true}); err != nil {
		t.Fatal(err)
	}
	file = filepath.Join(t.TempDir(), "run.tgz")
	if err := os.WriteFile(file, out.Bytes(), 0o644); err != nil {
		t.Fatal(err)
	}
	return dir, file, v.Run
}

// TestImport_KilledBeforeEveryDurableStep: the run is there whole or not at all, and the same import
// finishes.
func TestImport_KilledBeforeEveryDurableStep(t *testing.T) {
	dir, file, run := exported(t)
	want := artifacts(t, dir, run)
	log := filepath.Join(t.TempDir(), "steps")
	if code, errs := engineProcess(t, "import:"+file, project(t, chain), "SO8T_CRASH_LOG="+log); code != 0 {
		t.Fatalf("exit %d: %s", code, errs)
	}
	steps, kinds := readSteps(t, log)
	t.Logf("%d durable steps: %v", steps, kinds)
	if steps < 3 {
		t.Fatal("that is too few")
	}
	for k := 1; k <= steps; k++ {
		t.Run(fmt.Sprint(k), func(t *testing.T) {
			t.Parallel()
			dir := project(t, chain)
			if code, errs := engineProcess(t, "import:"+file, dir, fmt.Sprintf("SO8T_CRASH_AT=%d", k)); code != -1 {
				t.Fatalf("exit %d instead of being killed: %s", code, errs)
			}
			h := open(t, dir)
			if runs, err := h.Runs(t.Context(), engine.RunsFilter{}); err != nil || len(runs.Runs) != 0 {
				t.Errorf("after the crash there are runs %+v, %v", runs, err)
			}
			checkClean(t, dir)
			if code, errs := engineProcess(t, "import:"+file, dir); code != 0 {
				t.Fatalf("the same import again: exit %d: %s", code, errs)
			}
			if got := artifacts(t, dir, run); got != want {
				t.Errorf("artifacts\n%s\nwant\n%s", got, want)
			}
			if _, err := h.GC(t.Context(), state.GCPolicy{}); err != nil {
				t.Error(err)
			}
			for _, left := range []string{"incoming", "trash"} {
				if entries, _ := os.ReadDir(filepath.Join(dir, ".so8t", left)); len(entries) > 0 {
					t.Errorf("%s holds %v", left, entries)
				}
			}
			if got := outcomes(h.run(engine.Selection{}, nil)); got != "a=cached b=cached c=cached" {
				t.Errorf("a run afterwards: %s", got)
			}
			checkClean(t, dir)
		})
	}
}

// TestExport_SameBytes: the same run gives the same archive, here and after an import elsewhere, but
// for what the import did.
func TestExport_SameBytes(t *testing.T) {
	dir, file, run := exported(t)
	var again bytes.Buffer
	if err := open(t, dir).Export(t.Context(), run, &again, engine.ExportOptions{Artifacts: true, Gzip: true}); err != nil {
		t.Fatal(err)
	}
	first, err := os.ReadFile(file)
	if err != nil || !bytes.Equal(first, again.Bytes()) {
		t.Errorf("two exports differ, %v", err)
	}
}
