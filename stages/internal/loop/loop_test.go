package loop

import (
	"context"
	"encoding/json"
	"errors"
	"math"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/nlpodyssey/spago/mat"

	"github.com/so8t/so8t/stages/internal/backend"
)

func TestRun_LearnsAndWritesOneLineAStep(t *testing.T) {
	m := newToy(t, 0)
	r := toyRun(t, m, m.be, 30)
	s, err := r.Do(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	lines := strings.Split(strings.TrimSpace(mustRead(t, r.Curve)), "\n")
	if len(lines) != 30 || s.Steps != 30 {
		t.Fatalf("%d lines and %d steps, want 30", len(lines), s.Steps)
	}
	var first, last Point
	for i, p := range map[int]*Point{0: &first, 29: &last} {
		if err := json.Unmarshal([]byte(lines[i]), p); err != nil {
			t.Fatal(err)
		}
	}
	if first.LR != 0 || first.Step != 1 || first.PETWeight != 0.01 || last.PETWeight != 0.1 {
		t.Errorf("first point %+v, last %+v", first, last)
	}
	if got := first.CE + first.PETWeight*first.PET; math.Abs(got-first.Loss) > 1e-9 {
		t.Errorf("loss is %v, ce + weight·pet %v", first.Loss, got)
	}
	if last.EvalLoss == nil || last.CE > 0.8*first.CE {
		t.Errorf("it learnt nothing: ce %v → %v, validation %v", first.CE, last.CE, last.EvalLoss)
	}
	if !strings.Contains(mustRead(t, r.Metrics), `"tokens_per_second":`) {
		t.Error("metrics lack tokens_per_second")
	}
}

// An interrupted run that is continued, at any step and also twice, ends with the same
// bits: curve, parameters, best validation.
func TestRun_ResumedIsBitIdentical(t *testing.T) {
	const steps = 18
	whole := newToy(t, 0.2)
	ref := toyRun(t, whole, whole.be, steps)
	want, err := ref.Do(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	curve := mustRead(t, ref.Curve)
	for _, cuts := range [][]int64{{1}, {3}, {4}, {7}, {17}, {5, 12}, {4, 5}} {
		from := ""
		for _, cut := range append(cuts, steps+1) {
			m := newToy(t, 0.2)
			r := toyRun(t, m, m.be, steps)
			into := t.TempDir()
			r.Resume, r.Save, r.Every, r.Now = from, saver(t, into), time.Second, ticking()
			dies := errors.New("killed")
			// The process dies after writing lines that no checkpoint knows.
			r.Model = &dying{Model: m, at: cut, err: dies}
			s, err := r.Do(t.Context())
			if cut <= steps {
				if !errors.Is(err, dies) {
					t.Fatalf("cut at %d: %v", cut, err)
				}
				from = filepath.Join(into, jsonInt(cut-1))
				if cut == 1 {
					from = ""
				}
				continue
			}
			if err != nil {
				t.Fatal(err)
			}
			if got := mustRead(t, r.Curve); got != curve {
				t.Errorf("cuts %v: the curve differs:\n%s\nwant\n%s", cuts, got, curve)
			}
			if !sameBits(m.values(), whole.values()) {
				t.Errorf("cuts %v: the parameters differ", cuts)
			}
			if s.EvalLoss != want.EvalLoss || s.BestStep != want.BestStep || s.Loss != want.Loss {
				t.Errorf("cuts %v: summary %+v, want %+v", cuts, s, want)
			}
		}
	}
}

// dying fails in the training step at (1 for the first).
type dying struct {
	Model
	at  int64
	err error
}

func (d *dying) Losses(sc backend.Scope, p Pass) (ce, pet mat.Tensor, err error) {
	if p.Train && p.Step+1 == d.at {
		return nil, nil, d.err
	}
	return d.Model.Losses(sc, p)
}

func jsonInt(n int64) string { b, _ := json.Marshal(n); return string(b) }

func TestRun_StopSavesWhereItIsAndGoesOn(t *testing.T) {
	whole := newToy(t, 0)
	ref := toyRun(t, whole, whole.be, 12)
	if _, err := ref.Do(t.Context()); err != nil {
		t.Fatal(err)
	}
	m := newToy(t, 0)
	r := toyRun(t, m, m.be, 12)
	into, stop := t.TempDir(), make(chan struct{})
	r.Save, r.Stop = saver(t, into), stop
	r.OnStep = func(p Point, _ float64) {
		if p.Step == 5 {
			close(stop)
		}
	}
	if _, err := r.Do(t.Context()); !errors.Is(err, ErrStopped) {
		t.Fatalf("got %v, want ErrStopped", err)
	}
	again := newToy(t, 0)
	r2 := toyRun(t, again, again.be, 12)
	r2.Resume = filepath.Join(into, "5")
	s, err := r2.Do(t.Context())
	if err != nil || s.StartedAt != 5 {
		t.Fatalf("resumed at %d: %v", s.StartedAt, err)
	}
	if mustRead(t, r2.Curve) != mustRead(t, ref.Curve) || !sameBits(again.values(), whole.values()) {
		t.Error("the stopped and continued run differs from the whole one")
	}
}

// A stop between two micro-batches gives the step up; one between two batches of a
// validation leaves the step to be validated again. Neither shows in the end.
func TestRun_StopInsideAStepOrItsValidation(t *testing.T) {
	whole := newToy(t, 0)
	ref := toyRun(t, whole, whole.be, 12)
	want, err := ref.Do(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	for name, c := range map[string]struct {
		train bool
		step  int64 // steps done when the stop comes
		saved string
	}{
		"in a step":                    {true, 3, "3"},
		"in a validation":              {false, 4, "4"},
		"in the validation at the end": {false, 12, "12"},
	} {
		m := newToy(t, 0)
		r := toyRun(t, m, m.be, 12)
		into, stop := t.TempDir(), make(chan struct{})
		r.Save, r.Stop, r.Model = saver(t, into), stop, &stopping{Model: m, train: c.train, step: c.step, stop: stop}
		if _, err := r.Do(t.Context()); !errors.Is(err, ErrStopped) {
			t.Fatalf("%s: got %v, want ErrStopped", name, err)
		}
		again := newToy(t, 0)
		r2 := toyRun(t, again, again.be, 12)
		r2.Resume = filepath.Join(into, c.saved)
		s, err := r2.Do(t.Context())
		if err != nil {
			t.Fatalf("%s: %v", name, err)
		}
		if !sameBits(again.values(), whole.values()) || mustRead(t, r2.Curve) != mustRead(t, ref.Curve) || s.EvalLoss != want.EvalLoss {
			t.Errorf("%s: the continued run differs", name)
		}
	}
}

type stopping struct {
	Model
	train bool
	step  int64
	stop  chan struct{}
	done  bool
}

func (d *stopping) Losses(sc backend.Scope, p Pass) (ce, pet mat.Tensor, err error) {
	if p.Train == d.train && p.Step == d.step && !d.done {
		d.done = true
		close(d.stop)
	}
	return d.Model.Losses(sc, p)
}

func TestRun_RefusesACheckpointOfOtherFacts(t *testing.T) {
	m := newToy(t, 0)
	r := toyRun(t, m, m.be, 6)
	into := t.TempDir()
	r.Save, r.Every, r.Now = saver(t, into), time.Second, ticking()
	if _, err := r.Do(t.Context()); err != nil {
		t.Fatal(err)
	}
	for name, change := range map[string]func(*Run){
		"backend":  func(r *Run) { r.Facts["backend"] = "other" },
		"threads":  func(r *Run) { r.Facts["threads"] = "3" },
		"settings": func(r *Run) { r.Settings.Seed++ },
		"rows":     func(r *Run) { r.Train = r.Train[1:] },
	} {
		m := newToy(t, 0)
		r := toyRun(t, m, m.be, 6)
		r.Resume = filepath.Join(into, "3")
		change(r)
		if _, err := r.Do(t.Context()); !errors.Is(err, ErrOtherRun) {
			t.Errorf("other %s: %v, want ErrOtherRun", name, err)
		}
	}
}

// 16 rows at once, 2 micro-batches of 8 and 16 of one give the same gradients, though the
// rows have very different numbers of targets.
func TestRun_AccumulationIsNormalisedOverTheWindow(t *testing.T) {
	var losses, norms []float64
	for _, c := range []struct{ rows, accumulation int }{{16, 1}, {8, 2}, {1, 16}} {
		m := newToy(t, 0)
		r := toyRun(t, m, m.be, 1)
		r.Settings.Size.Rows, r.Settings.Accumulation, r.Settings.Schedule.Warmup = c.rows, c.accumulation, 0
		r.OnStep = func(p Point, _ float64) {
			losses, norms = append(losses, p.Loss), append(norms, p.GradNorm)
		}
		if _, err := r.Do(t.Context()); err != nil {
			t.Fatal(err)
		}
	}
	for i := range losses { // float32 sums in another order
		if math.Abs(losses[i]/losses[0]-1) > 1e-6 || math.Abs(norms[i]/norms[0]-1) > 1e-5 {
			t.Errorf("losses %v, gradient norms %v differ", losses, norms)
		}
	}
}

func TestRun_NotANumberStopsAndNamesTheStep(t *testing.T) {
	m := newToy(t, 0)
	r := toyRun(t, m, m.be, 9)
	r.Model = &poisoned{Model: m, toy: m, at: 4}
	_, err := r.Do(t.Context())
	var d *DivergedError
	if !errors.As(err, &d) || d.Step != 4 {
		t.Fatalf("got %v, want a DivergedError of step 4", err)
	}
	if !strings.Contains(err.Error(), "step 4") {
		t.Errorf("message %q does not name the step", err)
	}
}

type poisoned struct {
	Model
	toy *toy
	at  int64
}

func (d *poisoned) Losses(sc backend.Scope, p Pass) (ce, pet mat.Tensor, err error) {
	if p.Step+1 == d.at {
		d.toy.be.Fill(d.toy.b.Tensor().Buffer(), math.NaN())
	}
	return d.Model.Losses(sc, p)
}

func TestRun_BackendErrorIsReported(t *testing.T) {
	m := newToy(t, 0)
	r := toyRun(t, m, m.be, 9)
	broken := errors.New("device lost")
	r.OnStep = func(p Point, _ float64) {
		if p.Step == 2 {
			m.be.Fail(broken)
		}
	}
	if _, err := r.Do(t.Context()); !errors.Is(err, broken) || !strings.Contains(err.Error(), "step 3") {
		t.Errorf("got %v, want the device's error in step 3", err)
	}
}

func TestRun_CancelledContextEnds(t *testing.T) {
	m := newToy(t, 0)
	r := toyRun(t, m, m.be, 9)
	ctx, cancel := context.WithCancel(t.Context())
	r.OnStep = func(p Point, _ float64) { cancel() }
	if s, err := r.Do(ctx); !errors.Is(err, context.Canceled) || s.Steps != 1 {
		t.Errorf("got %v after %d steps", err, s.Steps)
	}
}

// With patience the run ends early, and the parameters that stay are those of the best
// validation, whether or not it was interrupted after that.
func TestRun_EarlyStoppingKeepsTheBest(t *testing.T) {
	setup := func(m *toy) *Run {
		r := toyRun(t, m, m.be, 200)
		r.Settings.EvalEvery, r.Settings.Patience = 1, 3
		r.Settings.Schedule = Schedule{Kind: "constant", Peak: 0.3, Steps: 200} // overshoots
		return r
	}
	whole := newToy(t, 0)
	r := setup(whole)
	byStep := map[int64][]float32{}
	r.OnStep = func(p Point, _ float64) { byStep[p.Step] = whole.values() }
	s, err := r.Do(t.Context())
	if err != nil || !s.EndedEarly || s.Steps >= 200 || s.Steps != s.BestStep+3 {
		t.Fatalf("summary %+v, %v: want an early end three steps after the best", s, err)
	}
	if !sameBits(whole.values(), byStep[s.BestStep]) {
		t.Error("the parameters left are not those of the best step")
	}
	into := t.TempDir()
	m := newToy(t, 0)
	r = setup(m)
	r.Save, r.Every, r.Now = saver(t, into), time.Second, ticking()
	r.Model = &dying{Model: m, at: s.Steps, err: errors.New("killed")}
	if _, err := r.Do(t.Context()); err == nil {
		t.Fatal("it did not die")
	}
	m = newToy(t, 0)
	r = setup(m)
	r.Resume = filepath.Join(into, jsonInt(s.Steps-1))
	again, err := r.Do(t.Context())
	if err != nil || again.BestStep != s.BestStep || again.EvalLoss != s.EvalLoss || !sameBits(m.values(), whole.values()) {
		t.Errorf("resumed after its best step: %+v, want %+v (%v)", again, s, err)
	}
}

func TestRun_DamagedCheckpointIsAnErrorThatNamesTheFile(t *testing.T) {
	m := newToy(t, 0)
	r := toyRun(t, m, m.be, 6)
	into := t.TempDir()
	r.Save, r.Every, r.Now = saver(t, into), time.Second, ticking()
	if _, err := r.Do(t.Context()); err != nil {
		t.Fatal(err)
	}
	for file, damage := range map[string]func(string) error{
		stateFile:  func(p string) error { return os.WriteFile(p, []byte("{"), 0o644) },
		tensorFile: func(p string) error { return os.Truncate(p, 200) },
		curveFile:  os.Remove,
	} {
		dir := filepath.Join(t.TempDir(), "3")
		if err := os.CopyFS(dir, os.DirFS(filepath.Join(into, "3"))); err != nil {
			t.Fatal(err)
		}
		if err := damage(filepath.Join(dir, file)); err != nil {
			t.Fatal(err)
		}
		m := newToy(t, 0)
		r := toyRun(t, m, m.be, 6)
		r.Resume = dir
		if _, err := r.Do(t.Context()); err == nil || !strings.Contains(err.Error(), dir) {
			t.Errorf("%s damaged: %v, want an error that names the checkpoint", file, err)
		}
	}
}

func TestRun_RefusesWhatCannotBeTrained(t *testing.T) {
	mute := []Row{{Tokens: []int32{1, 2}, Learn: []bool{true, false}}}
	for name, change := range map[string]func(*Run){
		"no rows":                func(r *Run) { r.Train = nil },
		"nothing to learn":       func(r *Run) { r.Train = mute },
		"nothing to validate on": func(r *Run) { r.Validation = mute },
		"no steps":               func(r *Run) { r.Settings.Schedule = Schedule{Kind: "cosine"} },
		"no batch":               func(r *Run) { r.Settings.Size = Size{} },
		"phases":                 func(r *Run) { r.Settings.PET.Boundaries = [2]float64{0.7, 0.3} },
	} {
		m := newToy(t, 0)
		r := toyRun(t, m, m.be, 6)
		change(r)
		if _, err := r.Do(t.Context()); !errors.Is(err, ErrSetup) {
			t.Errorf("%s: %v, want ErrSetup", name, err)
		}
	}
}
