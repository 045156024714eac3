package loop

import (
	"errors"
	"fmt"
	"maps"
	"math"
	"time"

	"github.com/so8t/so8t/stages/internal/backend"
)

// trainer is a Run under way.
type trainer struct {
	run     *Run
	opt     *optimizer
	feed    *feed
	eval    []Batch
	targets int64 // of eval
	scope   backend.Scope
	journal *journal
	now     func() time.Time

	at   cursor
	best map[string][]float32 // values at at.BestStep, when KeepBest

	from    int64 // step that this attempt began at
	tokens  int64 // seen by this attempt
	started time.Time
	saved   time.Time // when the last checkpoint was begun
	saving  saving
}

func (r *Run) begin() (*trainer, error) {
	t := &trainer{run: r, now: r.Now, at: cursor{Format: checkpointFormat, Facts: maps.Clone(r.Facts)}}
	if t.now == nil {
		t.now = time.Now
	}
	set := r.Settings
	err := set.Schedule.check()
	if err == nil && set.Schedule.Steps < 1 {
		err = fmt.Errorf("a run of %d steps", set.Schedule.Steps)
	}
	if err == nil {
		err = set.PET.Check()
	}
	if err == nil {
		t.feed, err = newFeed(r.Train, set)
	}
	for _, row := range r.Validation {
		t.targets += row.targets()
	}
	if err == nil && len(r.Validation) > 0 && t.targets == 0 {
		err = errors.New("no validation row has a token to predict")
	}
	if err == nil {
		t.opt, err = newOptimizer(r.Backend, set.AdamW, r.Model.Groups())
	}
	if err != nil {
		return nil, fmt.Errorf("%w: %w", ErrSetup, err)
	}
	t.scope = r.Backend.NewScope()
	if err := t.position(); err != nil {
		t.end()
		return nil, err
	}
	t.from = t.at.Step
	t.started = t.now()
	t.saved = t.started
	return t, nil
}

// position goes to the beginning, or to the checkpoint.
func (t *trainer) position() error {
	if t.at.Facts == nil {
		t.at.Facts = Facts{}
	}
	var err error
	if t.at.Facts["settings"], err = t.run.digest(); err != nil {
		return err
	}
	if t.run.Resume != "" {
		if err := t.restore(t.run.Resume); err != nil {
			return err
		}
	}
	t.resize()
	t.journal, err = openJournal(t.run)
	if err == nil && t.run.Settings.Rollbacks > 0 {
		t.snapshot()
	}
	return err
}

func (t *trainer) end() {
	_ = t.settle() // of a run that failed: finish and stop look at it otherwise
	if t.journal != nil {
		_ = t.journal.close() // of a run that failed: finish closes it otherwise
	}
	t.scope.End()
	t.opt.release()
}

func (t *trainer) done() bool {
	return t.at.Step >= t.run.Settings.Schedule.Steps || t.endedEarly()
}

func (t *trainer) endedEarly() bool {
	p := t.run.Settings.Patience
	return p > 0 && t.at.Stale >= p && t.at.Step < t.run.Settings.Schedule.Steps
}

func (t *trainer) stopping() bool {
	select {
	case <-t.run.Stop:
		return true
	default:
		return false
	}
}

// stop saves and says so.
func (t *trainer) stop() error {
	if t.run.Save != nil && t.at.Step > 0 {
		if err := errors.Join(t.save(), t.settle()); err != nil {
			return err
		}
	}
	return ErrStopped
}

// record validates when it is time, and writes the step's line.
func (t *trainer) record(p Point) error {
	set := t.run.Settings
	if len(t.eval) > 0 && (p.Step == set.Schedule.Steps || set.EvalEvery > 0 && p.Step%set.EvalEvery == 0) {
		loss, err := t.validate()
		if err != nil {
			t.at.Pending = &p // the step is done
		}
		if errors.Is(err, errInterruptedStep) {
			return err
		}
		if err != nil {
			return fmt.Errorf("validating after step %d: %w", p.Step, err)
		}
		if bad(loss) {
			return &DivergedError{Step: p.Step, What: "the validation loss", Value: loss, Rate: p.LR}
		}
		p.EvalLoss = &loss
		t.judge(loss)
	}
	t.at.Last, t.at.Pending = p, nil
	timed := t.timed(p)
	if err := t.journal.append(timed); err != nil {
		return err
	}
	if t.run.OnStep != nil {
		t.run.OnStep(p, timed.TokensPerSecond)
	}
	return nil
}

// timed adds what the clock and the backend say.
func (t *trainer) timed(p Point) timedPoint {
	now := t.now()
	seconds := now.Sub(t.started).Seconds()
	out := timedPoint{Point: p, Seconds: seconds, MemoryBytes: t.run.Backend.Counters().Bytes, Time: float64(now.UnixMilli()) / 1000}
	if seconds > 0 {
		out.TokensPerSecond = float64(t.tokens) / seconds
	}
	if taken := p.Step - t.from; taken > 0 {
		out.ETASeconds = seconds / float64(taken) * float64(t.run.Settings.Schedule.Steps-p.Step)
	}
	return out
}

// validate is the loss per target token over all validation rows.
func (t *trainer) validate() (float64, error) {
	sum := 0.0
	for i, b := range t.eval {
		if i > 0 && t.stopping() {
			return 0, errInterruptedStep
		}
		ce, _, err := t.run.Model.Losses(t.scope, Pass{Batch: b, CEScale: 1, Step: t.at.Step})
		if err != nil {
			return 0, err
		}
		sum += ce.Item().F64()
		t.scope.End()
	}
	return sum / float64(t.targets), t.run.Backend.Err()
}

// judge keeps the best.
func (t *trainer) judge(loss float64) {
	if t.at.BestStep > 0 && loss >= t.at.BestLoss {
		t.at.Stale++
		return
	}
	t.at.BestStep, t.at.BestLoss, t.at.Stale = t.at.Step, loss, 0
	if t.run.Settings.KeepBest {
		t.best = map[string][]float32{}
		for _, p := range t.opt.params {
			t.best[p.Name] = t.download(p.Tensor().Buffer())
		}
	}
}

// finish leaves the best parameters in the model, and the curve closed.
func (t *trainer) finish() error {
	if err := t.settle(); err != nil {
		return err
	}
	err := t.journal.close()
	t.journal = nil
	if err != nil {
		return fmt.Errorf("closing curve: %w", err)
	}
	if t.run.Settings.KeepBest && t.at.BestStep > 0 && t.at.BestStep != t.at.Step {
		for _, p := range t.opt.params {
			t.run.Backend.Upload(p.Tensor().Buffer(), t.best[p.Name])
		}
	}
	if err := t.finite(); err != nil {
		return err
	}
	t.run.Backend.Sync()
	if err := t.run.Backend.Err(); err != nil {
		return fmt.Errorf("finishing training: %w", err)
	}
	return nil
}

func (t *trainer) summary() Summary {
	s := Summary{
		Steps: t.at.Step, Loss: t.at.Last.Loss, CE: t.at.Last.CE, PET: t.at.Last.PET, EvalLoss: math.NaN(), BestStep: t.at.BestStep,
		StartedAt: t.from, EndedEarly: t.endedEarly(), Tokens: t.tokens, Seconds: t.now().Sub(t.started).Seconds(),
		Halvings: t.at.Halvings, Rollbacks: t.at.Rollbacks, Saves: t.saving.count, Stalled: t.saving.stalled.Seconds(),
	}
	switch {
	case t.run.Settings.KeepBest && t.at.BestStep > 0:
		s.EvalLoss = t.at.BestLoss
	case t.at.Last.EvalLoss != nil:
		s.EvalLoss = *t.at.Last.EvalLoss
	}
	return s
}

func (t *trainer) download(b backend.Buffer) []float32 {
	h := make([]float32, b.Len())
	t.run.Backend.Download(h, b)
	return h
}
