package loop

import (
	"errors"
	"fmt"
	"io"
	"time"

	"github.com/so8t/so8t/stages/internal/backend"
	"github.com/so8t/so8t/stages/internal/safetensors"
	"github.com/so8t/so8t/stages/internal/tensor"
)

// saving is a checkpoint on its way. The state is copied between two steps; the copy is
// written by a goroutine while the steps go on. One is written at a time.
type saving struct {
	step int64
	done chan error // nil: none is being written

	host map[string][]float32 // the copy, its memory reused by the next one
	last *state               // the rest of it
	// stalled is how long the steps have waited: for the copies, and for a write that was
	// not over when the next checkpoint was due.
	stalled time.Duration
	count   int64
}

// state is what of a checkpoint is no tensor that the next steps change.
type state struct {
	at    cursor
	best  map[string][]float32
	lines lines
}

// due reports whether it is time for a checkpoint.
func (t *trainer) due() bool {
	return t.run.Save != nil && t.run.Every > 0 && !t.done() && t.now().Sub(t.saved) >= t.run.Every
}

// save begins a checkpoint of the state after the last step.
func (t *trainer) save() error {
	began := t.now()
	defer func() { t.saving.stalled += t.now().Sub(began) }()
	if err := errors.Join(t.settle(), t.finite()); err != nil {
		return err
	}
	tensors := t.snapshot()
	at, lines := t.at, t.saving.last.lines
	if err := t.run.Backend.Err(); err != nil {
		return fmt.Errorf("saving step %d: %w", at.Step, err)
	}
	t.saved = began
	t.saving.step, t.saving.done = at.Step, make(chan error, 1)
	t.saving.count++
	done, save := t.saving.done, t.run.Save
	go func() {
		done <- save(at.Step, func(dir string) error {
			if err := writeCheckpoint(dir, at, tensors); err != nil {
				return err
			}
			return lines.copyTo(dir)
		})
	}()
	return nil
}

// settle waits until no checkpoint is being written and returns what went wrong with it.
func (t *trainer) settle() error {
	if t.saving.done == nil {
		return nil
	}
	return t.written(<-t.saving.done)
}

// poll is settle without waiting.
func (t *trainer) poll() error {
	select {
	case err := <-t.saving.done:
		return t.written(err)
	default:
		return nil
	}
}

func (t *trainer) written(err error) error {
	t.saving.done = nil
	if err != nil {
		return fmt.Errorf("saving step %d: %w", t.saving.step, err)
	}
	return nil
}

// snapshot copies everything that the next steps change. No checkpoint is being written.
func (t *trainer) snapshot() []safetensors.Tensor {
	t.saving.last = &state{t.at, t.best, t.journal.mark()}
	if t.saving.host == nil {
		t.saving.host = map[string][]float32{}
	}
	var out []safetensors.Tensor
	add := func(kind string, p tensor.Param, data []float32) {
		out = append(out, safetensors.Tensor{
			Name: kind + "." + p.Name, DType: safetensors.F32, Shape: p.Tensor().Shape(),
			WriteTo: func(w io.Writer) error { return safetensors.WriteFloats(w, safetensors.F32, data) },
		})
	}
	copied := func(kind string, p tensor.Param, b backend.Buffer) {
		name := kind + "." + p.Name
		h := t.saving.host[name]
		if h == nil {
			h = make([]float32, b.Len())
			t.saving.host[name] = h
		}
		t.run.Backend.Download(h, b)
		add(kind, p, h)
	}
	for _, p := range t.opt.params {
		st := p.State.(*moments)
		copied("value", p, p.Tensor().Buffer())
		copied("m", p, st.m)
		copied("v", p, st.v)
		if t.best != nil {
			add("best", p, t.best[p.Name]) // replaced by a better one, never changed
		}
	}
	return out
}

// restore is the inverse of save.
func (t *trainer) restore(dir string) error {
	c, err := openCheckpoint(dir, t.at.Facts)
	if err != nil {
		return err
	}
	defer c.set.Close()
	if c.has("best", t.opt.params[0].Name) {
		t.best = map[string][]float32{}
	}
	for _, p := range t.opt.params {
		n := p.Tensor().Size()
		st := p.State.(*moments)
		for _, part := range []struct {
			kind string
			into backend.Buffer
		}{{"value", p.Tensor().Buffer()}, {"m", st.m}, {"v", st.v}} {
			data, err := c.floats(part.kind, p.Name, n)
			if err != nil {
				return err
			}
			t.run.Backend.Upload(part.into, data)
		}
		if t.best != nil {
			if t.best[p.Name], err = c.floats("best", p.Name, n); err != nil {
				return err
			}
		}
	}
	t.at = c.cursor
	return t.run.Backend.Err()
}
