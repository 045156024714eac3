package loop

import (
	"fmt"
	"math"
)

// DivergedError is a loss or gradient that is no number, or a loss that exploded.
type DivergedError struct {
	Step  int64 // the step that was being taken, 1 for the first
	What  string
	Value float64
	Rate  float64
}

func (e *DivergedError) Error() string {
	return fmt.Sprintf("training diverged in step %d: %s is %v (learning rate %.3g)", e.Step, e.What, e.Value, e.Rate)
}

// The running mean of the loss that an explosion is measured against: over about the last
// meanSteps steps, and not before as many were taken.
const meanSteps = 20

// healthy looks at a step before its gradients are applied, so that a parameter is never
// anything but a number.
func (t *trainer) healthy(p *Point) error {
	if bad(p.Loss) || bad(p.GradNorm) {
		what, value := t.culprit(p)
		return &DivergedError{Step: p.Step, What: what, Value: value, Rate: p.LR}
	}
	limit := t.run.Settings.Explode
	if limit > 0 && t.at.Step >= meanSteps && p.Loss > t.at.MeanLoss+limit {
		return &DivergedError{Step: p.Step, What: fmt.Sprintf("the loss, after a mean of %.4g,", t.at.MeanLoss), Value: p.Loss, Rate: p.LR}
	}
	return nil
}

// follow puts a healthy step's loss into the mean.
func (t *trainer) follow(loss float64) {
	n := float64(min(meanSteps, t.at.Step+1))
	t.at.MeanLoss += (loss - t.at.MeanLoss) / n
}

func bad(v float64) bool { return math.IsNaN(v) || math.IsInf(v, 0) }

// culprit names what is no number: the first parameter that is none, else the first gradient
// (in the order of the forward pass), else the loss or the norm itself.
func (t *trainer) culprit(p *Point) (what string, value float64) {
	if name, v := t.badParameter(); name != "" {
		return name, v
	}
	for _, q := range t.opt.params.WithGrad() {
		if v := t.opt.sumSquares(q.GradBuffer()); bad(v) {
			return fmt.Sprintf("the gradient of %q", q.Name), v
		}
	}
	if bad(p.Loss) {
		return "the loss", p.Loss
	}
	return "the gradient's norm", p.GradNorm
}

// badParameter names the first parameter that is no number, or "".
func (t *trainer) badParameter() (name string, value float64) {
	for _, q := range t.opt.params {
		if v := t.opt.sumSquares(q.Tensor().Buffer()); bad(v) {
			return fmt.Sprintf("parameter %q", q.Name), v
		}
	}
	return "", 0
}

// finite is an error when a parameter is no number: such a state is neither saved nor handed on.
func (t *trainer) finite() error {
	if name, v := t.badParameter(); name != "" {
		return &DivergedError{Step: t.at.Step, What: name, Value: v, Rate: t.at.Last.LR}
	}
	return nil
}

// rollback goes back to the last checkpoint's state, after cause, with half the learning rate
// from there on. It reports false when no more of that is allowed, or would help.
func (t *trainer) rollback(cause *DivergedError) bool {
	good := t.saving.last
	if t.at.Rollbacks >= t.run.Settings.Rollbacks || good == nil {
		return false
	}
	for _, p := range t.opt.params {
		st := p.State.(*moments)
		t.run.Backend.Upload(p.Tensor().Buffer(), t.saving.host["value."+p.Name])
		t.run.Backend.Upload(st.m, t.saving.host["m."+p.Name])
		t.run.Backend.Upload(st.v, t.saving.host["v."+p.Name])
	}
	t.opt.params.ZeroGrad()
	rollbacks, halvings := t.at.Rollbacks+1, t.at.Halvings
	t.at, t.best = good.at, good.best
	t.at.Rollbacks, t.at.Halvings = rollbacks, halvings
	if err := t.journal.cut(good.lines); err != nil {
		t.run.Backend.Fail(err)
	}
	t.warn(fmt.Sprintf("%v: back to step %d with the learning rate divided by %d", cause, t.at.Step, 1<<t.at.Rollbacks))
	return true
}

// rate is the schedule's, halved at each rollback.
func (t *trainer) rate(step int64) float64 {
	return t.run.Settings.Schedule.Rate(step) / float64(int64(1)<<t.at.Rollbacks)
}
