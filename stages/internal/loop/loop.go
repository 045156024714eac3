package loop

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/nlpodyssey/spago/ag"
	"github.com/nlpodyssey/spago/mat"

	"github.com/so8t/so8t/stages/internal/backend"
	"github.com/so8t/so8t/stages/internal/so8t"
)

// Pass is one forward pass over one micro-batch.
type Pass struct {
	Batch Batch
	// CEScale multiplies the sum of the targets' losses, PETScale the sum over PET's triples
	// (0: leave PET out).
	CEScale, PETScale float64
	// Train is false for validation: no dropout. Step is what dropout's bits depend on.
	Train bool
	Step  int64
}

// Model is what the loop trains.
type Model interface {
	// Groups are the trained parameters, in a fixed order.
	Groups() []Group
	// Losses records the graph of a pass, its values in the scope, and returns the two
	// scaled terms as 1×1 nodes; pet is nil when the pass leaves it out.
	Losses(sc backend.Scope, p Pass) (ce, pet mat.Tensor, err error)
}

// Settings are what the result depends on, beside the model and the rows.
type Settings struct {
	Seed uint64 // of the order of the rows
	// InOrder takes the rows in their own order instead.
	InOrder bool
	// GroupByLength fills each window with rows of nearly one length.
	GroupByLength bool `json:",omitempty"`
	Size          Size
	Accumulation  int // micro-batches of a step
	Schedule      Schedule
	AdamW         AdamW
	PET           so8t.Schedule
	// EvalEvery is the number of steps between validations; the last step has one too.
	EvalEvery int64
	// Explode is how far above its running mean a loss may be, nats; 0: any.
	Explode float64 `json:",omitempty"`
	// Rollbacks is how often a run that diverged may go back to its last checkpoint, with
	// half the learning rate each time. Which one that is depends on the clock.
	Rollbacks int `json:",omitempty"`
	// Patience ends the run after so many validations without a new best; 0 never.
	Patience int
	// KeepBest leaves the parameters of the best validation, not those of the last step.
	KeepBest bool
}

// Run is one training.
type Run struct {
	Backend    backend.Backend
	Model      Model
	Train      []Row
	Validation []Row
	Settings   Settings
	Facts      Facts

	// Curve and Metrics are the paths of the two files of Points.
	Curve, Metrics string
	// Charts is a folder for the same points as a table and as events for TensorBoard; "" for none.
	Charts string
	// Resume is the folder of the checkpoint to go on from, or "".
	Resume string

	// Every is the time between two checkpoints; Save publishes one. It is called by another
	// goroutine while the steps go on, one call at a time.
	Every time.Duration
	Save  func(step int64, write func(dir string) error) error
	// Stop asks for a checkpoint and an end.
	Stop <-chan struct{}
	// OnStep is told of every step; may be nil.
	OnStep func(p Point, tokensPerSecond float64)
	// Warn is told what the run did to go on; may be nil.
	Warn func(message string)
	// Now is the clock; time.Now when nil. It decides when to save, nothing else.
	Now func() time.Time
}

// Summary is how a run ended.
type Summary struct {
	Steps     int64
	Loss      float64 // of the last step
	CE        float64
	PET       float64
	EvalLoss  float64 // of the parameters that are left; NaN without validation
	BestStep  int64
	StartedAt int64 // step of the checkpoint that it went on from
	// EndedEarly says that validation stopped getting better.
	EndedEarly bool
	Tokens     int64 // seen by this attempt
	Seconds    float64
	// Saves counts the checkpoints; Stalled is how long the steps waited for them, seconds.
	Saves   int64
	Stalled float64
	// Halvings and Rollbacks are what the run did to go on: micro-batches halved for want of
	// memory, and times it went back.
	Halvings, Rollbacks int
}

// ErrSetup says that settings or rows cannot be trained with.
var ErrSetup = errors.New("setting up training")

// ErrStopped says that the run saved a checkpoint and ended because it was asked to.
var ErrStopped = errors.New("stopped at a checkpoint")

// Do trains. It returns after the last step, or with ErrStopped, or at the first error.
func (r *Run) Do(ctx context.Context) (Summary, error) {
	t, err := r.begin()
	if err != nil {
		return Summary{}, err
	}
	defer t.end()
	for !t.done() || t.at.Pending != nil {
		if err := ctx.Err(); err != nil {
			return t.summary(), err
		}
		if t.stopping() {
			return t.summary(), t.stop()
		}
		err := t.advance()
		if errors.Is(err, errInterruptedStep) {
			return t.summary(), t.stop()
		}
		if err != nil {
			return t.summary(), err
		}
		if err := t.poll(); err != nil {
			return t.summary(), err
		}
		if t.due() {
			if err := t.save(); err != nil {
				return t.summary(), err
			}
		}
	}
	if err := t.finish(); err != nil {
		return t.summary(), err
	}
	return t.summary(), nil
}

// errInterruptedStep says that a step was given up between two micro-batches, or its
// validation between two batches.
var errInterruptedStep = errors.New("step interrupted")

// advance takes a step and records it, or records the one that is pending, or makes ready for
// another try.
func (t *trainer) advance() error {
	err := t.next()
	var diverged *DivergedError
	if errors.As(err, &diverged) && t.rollback(diverged) || t.descend(err) {
		return nil
	}
	return err
}

func (t *trainer) next() error {
	if p := t.at.Pending; p != nil {
		return t.record(*p)
	}
	p, err := t.step()
	if err != nil {
		return err
	}
	return t.record(p)
}

// step takes one optimiser step and returns its point.
func (t *trainer) step() (Point, error) {
	number, set := t.at.Step, t.run.Settings
	w := t.feed.window(t.at.Position)
	weight := set.PET.At(float64(number) / float64(set.Schedule.Steps))
	p := Point{Step: number + 1, LR: t.rate(number), PETWeight: weight, Tokens: w.tokens, Targets: w.targets}
	if w.triples == 0 {
		weight = 0
	}
	for i, b := range w.batches {
		if i > 0 && t.stopping() {
			t.opt.params.ZeroGrad()
			return p, errInterruptedStep
		}
		pass := Pass{Batch: b, CEScale: 1 / float64(w.targets), Train: true, Step: number}
		if weight > 0 {
			pass.PETScale = weight / float64(w.triples)
		}
		ce, pet, err := t.learn(pass)
		if err != nil {
			return p, fmt.Errorf("training step %d: %w", number+1, err)
		}
		p.CE += ce
		p.PET += pet
	}
	p.Loss = p.CE + p.PET
	if weight > 0 {
		p.PET /= weight
	}
	if err := t.update(&p); err != nil {
		return p, err
	}
	t.follow(p.Loss)
	t.at.Step++
	t.at.Position += w.rows
	p.Epoch = float64(t.at.Position) / float64(len(t.feed.rows))
	t.tokens += w.tokens
	return p, nil
}

// learn accumulates the gradients of one micro-batch and returns its scaled losses.
func (t *trainer) learn(pass Pass) (ce, pet float64, err error) {
	defer t.scope.End()
	ceNode, petNode, err := t.run.Model.Losses(t.scope, pass)
	if err != nil {
		return 0, 0, err
	}
	roots := []mat.Tensor{ceNode}
	if petNode != nil {
		roots = append(roots, petNode)
	}
	if err := ag.Backward(roots...); err != nil {
		return 0, 0, err
	}
	ce = ceNode.Item().F64()
	if petNode != nil {
		pet = petNode.Item().F64()
	}
	return ce, pet, t.run.Backend.Err()
}

// update clips and applies the window's gradients.
func (t *trainer) update(p *Point) error {
	n := t.opt.norms()
	if err := t.run.Backend.Err(); err != nil {
		return fmt.Errorf("training step %d: %w", p.Step, err)
	}
	p.GradNorm = n.all
	if own, ok := n.byClip[ClipGate]; ok {
		p.GateGradNorm = own
	}
	if err := t.healthy(p); err != nil {
		return err
	}
	if err := t.opt.step(p.Step, p.LR, n); err != nil {
		return fmt.Errorf("training step %d: %w", p.Step, err)
	}
	return nil
}

// ClipGate is the name of the gates' clipping group, when they have one of their own.
const ClipGate = "gate"
