package loop

import (
	"errors"
	"path/filepath"
	"strings"
	"testing"
	"time"
)

// Steps go on while a checkpoint is being written, and the checkpoint is still that of its
// own step: a run that goes on from it ends with the same bits.
func TestRun_StepsGoOnWhileACheckpointIsWritten(t *testing.T) {
	whole := newToy(t, 0.2)
	ref := toyRun(t, whole, whole.be, 12)
	if _, err := ref.Do(t.Context()); err != nil {
		t.Fatal(err)
	}
	m := newToy(t, 0.2)
	r := toyRun(t, m, m.be, 12)
	into, enough := t.TempDir(), make(chan struct{})
	write := saver(t, into)
	saves := 0
	r.Save = func(step int64, fill func(string) error) error {
		if saves++; saves == 1 {
			<-enough // would never come if the steps waited
		}
		return write(step, fill)
	}
	r.Every, r.Now = 5*time.Second, ticking()
	first := int64(0)
	r.OnStep = func(p Point, _ float64) {
		if first == 0 && p.Step >= 3 {
			first = p.Step
			close(enough)
		}
	}
	s, err := r.Do(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	if s.Saves < 2 || int(s.Saves) != saves || s.Stalled <= 0 {
		t.Errorf("%d checkpoints were counted and %d written, stall %v", s.Saves, saves, s.Stalled)
	}
	dirs, err := filepath.Glob(filepath.Join(into, "*"))
	if err != nil || len(dirs) != saves {
		t.Fatalf("checkpoints %v, %v", dirs, err)
	}
	for _, dir := range dirs {
		again := newToy(t, 0.2)
		r2 := toyRun(t, again, again.be, 12)
		r2.Resume = dir
		if _, err := r2.Do(t.Context()); err != nil {
			t.Fatal(err)
		}
		if mustRead(t, r2.Curve) != mustRead(t, ref.Curve) || !sameBits(again.values(), whole.values()) {
			t.Errorf("going on from %s gives other bits", filepath.Base(dir))
		}
	}
}

// A checkpoint that cannot be written ends the run: at the next step, or at the last.
func TestRun_FailedCheckpointEndsTheRun(t *testing.T) {
	full := errors.New("disk full")
	for _, every := range []time.Duration{time.Second, 20 * time.Second} {
		m := newToy(t, 0)
		r := toyRun(t, m, m.be, 12)
		r.Every, r.Now = every, ticking()
		r.Save = func(int64, func(string) error) error { return full }
		_, err := r.Do(t.Context())
		if !errors.Is(err, full) || !strings.Contains(err.Error(), "saving step") {
			t.Errorf("every %v: %v", every, err)
		}
	}
}

// With everything that a run remembers switched on (length groups, phases, the running mean of the
// loss, the best so far, validations without a better one), every checkpoint leads to the same end,
// and to the same last checkpoint.
func TestRun_EveryCheckpointLeadsToTheSameEnd(t *testing.T) {
	setup := func(m *toy) *Run {
		r := toyRun(t, m, m.be, 60)
		r.Settings.GroupByLength, r.Settings.Explode, r.Settings.Rollbacks = true, 50, 1
		r.Settings.EvalEvery, r.Settings.Patience = 2, 4
		r.Settings.Schedule = Schedule{Kind: "wsd", Peak: 0.2, Warmup: 2, Decay: 9, Steps: 60} // overshoots
		return r
	}
	whole := newToy(t, 0.2)
	ref := setup(whole)
	into := t.TempDir()
	ref.Save, ref.Every, ref.Now = saver(t, into), time.Second, ticking()
	want, err := ref.Do(t.Context())
	if err != nil || !want.EndedEarly || want.BestStep < 4 {
		t.Fatalf("%+v, %v: want an early end after a best step", want, err)
	}
	curve := mustRead(t, ref.Curve)
	at := func(step int64) string { return filepath.Join(into, jsonInt(step)) }
	last := want.Steps - 1
	for _, from := range []int64{1, want.BestStep - 1, want.BestStep + 3, last} {
		dir, again := at(from), t.TempDir()
		m := newToy(t, 0.2)
		r := setup(m)
		r.Resume, r.Save, r.Every, r.Now = dir, saver(t, again), time.Second, ticking()
		s, err := r.Do(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		if mustRead(t, r.Curve) != curve || !sameBits(m.values(), whole.values()) || s.Steps != want.Steps || s.BestStep != want.BestStep || s.EvalLoss != want.EvalLoss {
			t.Errorf("from %d: %+v, want %+v", from, s, want)
		}
		if from < last && mustRead(t, filepath.Join(again, jsonInt(last), stateFile)) != mustRead(t, filepath.Join(at(last), stateFile)) {
			t.Errorf("from %d: the last checkpoint is another", from)
		}
	}
}
