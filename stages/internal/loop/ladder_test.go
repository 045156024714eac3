package loop

import (
	"encoding/json"
	"errors"
	"math"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/so8t/so8t/stages/internal/backend"
	"github.com/so8t/so8t/stages/internal/backend/cpu"
)

// limited is a toy on a backend that may hold so many bytes.
func limited(t *testing.T, limit int64) *toy {
	t.Helper()
	be, err := cpu.Open(cpu.Options{Threads: 2, BLAS: "none", Limit: limit})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = be.Close() })
	m, err := toyOn(be, 0.2)
	if err != nil {
		t.Fatal(err)
	}
	return m
}

func points(t *testing.T, r *Run) (out []Point) {
	t.Helper()
	for line := range strings.Lines(mustRead(t, r.Curve)) {
		var p Point
		if err := json.Unmarshal([]byte(line), &p); err != nil {
			t.Fatal(err)
		}
		out = append(out, p)
	}
	return out
}

// wide has micro-batches of 16 rows.
func wide(t *testing.T, m *toy) *Run {
	r := toyRun(t, m, m.be, 12)
	r.Settings.Size.Rows = 16
	return r
}

// Out of memory: the same rows in smaller micro-batches, the same curve but for rounding; a
// run that is killed and continued stays on its rung and has the same bits.
func TestRun_OutOfMemory_SmallerMicroBatchesSameCurve(t *testing.T) {
	free := limited(t, 0)
	ref := wide(t, free)
	if _, err := ref.Do(t.Context()); err != nil {
		t.Fatal(err)
	}
	// Memory that is kept for reuse is given back first: look for a limit that is felt.
	limit := free.be.Counters().PeakBytes
	for {
		if limit = limit * 9 / 10; limit < 4096 {
			t.Fatal("no limit is felt")
		}
		m := limited(t, limit)
		if s, err := wide(t, m).Do(t.Context()); err != nil || s.Halvings > 0 {
			break
		}
	}
	m := limited(t, limit)
	r := wide(t, m)
	into, warnings := t.TempDir(), ""
	r.Save, r.Every, r.Now = saver(t, into), 9*time.Second, ticking()
	r.Warn = func(s string) { warnings += s + "\n" }
	s, err := r.Do(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	if s.Halvings < 1 || s.Halvings > 4 || !strings.Contains(warnings, "out of memory") {
		t.Errorf("%d halvings, warned %q", s.Halvings, warnings)
	}
	want := points(t, ref)
	for i, p := range points(t, r) {
		w := want[i]
		if math.Abs(p.Loss/w.Loss-1) > 1e-5 || math.Abs(p.GradNorm/w.GradNorm-1) > 1e-4 || p.Tokens != w.Tokens || p.Targets != w.Targets {
			t.Errorf("step %d: %+v, with all memory %+v", p.Step, p, w)
		}
	}
	dirs, err := filepath.Glob(filepath.Join(into, "*"))
	if err != nil || len(dirs) == 0 {
		t.Fatalf("checkpoints %v, %v", dirs, err)
	}
	for _, dir := range dirs {
		again := limited(t, limit)
		r2 := wide(t, again)
		r2.Resume = dir
		if _, err := r2.Do(t.Context()); err != nil {
			t.Fatal(err)
		}
		if !sameBits(again.values(), m.values()) || mustRead(t, r2.Curve) != mustRead(t, r.Curve) {
			t.Errorf("continued from %s: other bits", filepath.Base(dir))
		}
	}
}

// When one row is too much, the run says so.
func TestRun_OutOfMemory_NoRungLeft(t *testing.T) {
	few := limited(t, 0)
	held := few.be.Counters().Bytes
	m := limited(t, held+8<<10)
	_, err := wide(t, m).Do(t.Context())
	if !errors.Is(err, backend.ErrOutOfMemory) {
		t.Errorf("got %v", err)
	}
}
