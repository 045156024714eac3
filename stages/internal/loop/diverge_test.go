package loop

import (
	"errors"
	"math"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/nlpodyssey/spago/mat"

	"github.com/so8t/so8t/stages/internal/backend"
)

// What is no number is named: the parameter, or the gradient.
func TestRun_NotANumberNamesTheTensor(t *testing.T) {
	m := newToy(t, 0)
	r := toyRun(t, m, m.be, 9)
	r.Model = &poisoned{Model: m, toy: m, at: 4}
	if _, err := r.Do(t.Context()); err == nil || !strings.Contains(err.Error(), `parameter "b" is NaN`) {
		t.Errorf("got %v", err)
	}
	m = newToy(t, 0)
	r = toyRun(t, m, m.be, 9)
	r.Model = &scaled{Model: m, at: 3, by: 1e38, times: -1}
	if _, err := r.Do(t.Context()); err == nil || !strings.Contains(err.Error(), `the gradient of "`) {
		t.Errorf("got %v", err)
	}
}

// A parameter that became no number in the very last step, where no loss shows it, is
// neither handed on nor saved.
func TestRun_NotANumberInTheLastStepIsNotHandedOn(t *testing.T) {
	m := newToy(t, 0)
	r := toyRun(t, m, m.be, 9)
	r.Validation = nil
	stop := make(chan struct{})
	into := t.TempDir()
	r.Stop, r.Save = stop, saver(t, into)
	last := int64(9)
	r.OnStep = func(p Point, _ float64) {
		if p.Step == last {
			m.be.Fill(m.a.Tensor().Buffer(), math.Inf(1))
			if last < 9 {
				close(stop)
			}
		}
	}
	var d *DivergedError
	if _, err := r.Do(t.Context()); !errors.As(err, &d) || !strings.Contains(err.Error(), `parameter "a"`) {
		t.Errorf("at the end: %v", err)
	}
	m = newToy(t, 0)
	r.Model, r.Backend, last = m, m.be, 5
	if _, err := r.Do(t.Context()); !errors.As(err, &d) {
		t.Errorf("at a stop: %v", err)
	}
	if dirs, _ := filepath.Glob(filepath.Join(into, "*")); len(dirs) > 0 {
		t.Errorf("it was saved: %v", dirs)
	}
}

// scaled multiplies the losses of a step, as often as times says (-1: always).
type scaled struct {
	Model
	at    int64
	by    float64
	times int
}

func (d *scaled) Losses(sc backend.Scope, p Pass) (ce, pet mat.Tensor, err error) {
	if p.Train && p.Step+1 == d.at && d.times != 0 {
		d.times--
		p.CEScale *= d.by
	}
	return d.Model.Losses(sc, p)
}

// A loss that explodes stops the run before its gradients are applied, or takes it back to
// the last checkpoint with half the rate.
func TestRun_ExplodingLoss(t *testing.T) {
	m := newToy(t, 0)
	r := toyRun(t, m, m.be, 30)
	r.Settings.Explode = 5
	r.Model = &scaled{Model: m, at: 25, by: 100, times: -1}
	var d *DivergedError
	if _, err := r.Do(t.Context()); !errors.As(err, &d) || d.Step != 25 || !strings.Contains(err.Error(), "the loss") {
		t.Fatalf("got %v, want a DivergedError of step 25", err)
	}

	m = newToy(t, 0)
	r = toyRun(t, m, m.be, 30)
	r.Settings.Explode, r.Settings.Rollbacks = 5, 2
	r.Model = &scaled{Model: m, at: 25, by: 100, times: 2} // both micro-batches of one try
	into, warned := t.TempDir(), ""
	r.Save, r.Every, r.Now = saver(t, into), 7*time.Second, ticking()
	r.Warn = func(s string) { warned += s }
	s, err := r.Do(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	if s.Rollbacks != 1 || s.Steps != 30 || !strings.Contains(warned, "back to step 2") {
		t.Errorf("%d rollbacks, %d steps, warned %q", s.Rollbacks, s.Steps, warned)
	}
	ps := points(t, r)
	if len(ps) != 30 {
		t.Fatalf("%d points", len(ps))
	}
	for i, p := range ps {
		full := r.Settings.Schedule.Rate(int64(i))
		if p.Step != int64(i+1) || (p.LR != full && p.LR != full/2) || i >= 24 && p.LR != full/2 {
			t.Errorf("point %d: %+v at a full rate of %v", i, p, full)
		}
	}

	// Without a checkpoint it goes back to the start; in the end it gives up.
	m = newToy(t, 0)
	r = toyRun(t, m, m.be, 30)
	r.Settings.Explode, r.Settings.Rollbacks = 5, 2
	r.Model = &scaled{Model: m, at: 25, by: 100, times: -1}
	warned = ""
	r.Warn = func(s string) { warned += s }
	if _, err := r.Do(t.Context()); !errors.As(err, &d) || strings.Count(warned, "back to step 0") != 2 {
		t.Errorf("got %v, warned %q", err, warned)
	}
}
