package loop

import (
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"os"
	"path/filepath"
	"slices"

	"github.com/so8t/so8t/stages/internal/safetensors"
)

// A checkpoint is a folder with
//
//	state.json          what is no tensor
//	state.safetensors   value.NAME, m.NAME and v.NAME of each parameter (its value and
//	                    AdamW's first and second moments), best.NAME when an earlier
//	                    step was better
//	curve.jsonl, metrics.jsonl   the lines up to its step
//
// It is everything that the steps after it depend on. It is taken between two optimiser
// steps only. Who calls writes it durably (plugins.Attempt.SaveCheckpoint).
const (
	stateFile        = "state.json"
	tensorFile       = "state.safetensors"
	checkpointFormat = 1
)

// Facts is what must be the same for a checkpoint to be continued: the backend in use, its
// threads, and a digest of the settings.
type Facts map[string]string

// cursor is the part of a run's state that is no tensor.
type cursor struct {
	Format int   `json:"format"`
	Step   int64 `json:"step"` // optimiser steps done
	// Position counts the rows taken from the endless sequence of epochs.
	Position int64 `json:"position"`
	// BestStep is 0 until a validation has run.
	BestStep int64   `json:"best_step"`
	BestLoss float64 `json:"best_loss"`
	// Stale counts the validations since the best one.
	Stale int `json:"stale"`
	// MeanLoss is the running mean of the loss.
	MeanLoss float64 `json:"mean_loss"`
	// Halvings and Rollbacks: see ladder.go and diverge.go.
	Halvings  int   `json:"halvings,omitempty"`
	Rollbacks int   `json:"rollbacks,omitempty"`
	Facts     Facts `json:"facts"`
	Last      Point `json:"last"` // of the last step whose line is written
	// Pending is a step that was taken but not yet validated nor written, because a stop
	// came during its validation.
	Pending *Point `json:"pending,omitempty"`
}

// ErrOtherRun says that a checkpoint belongs to a run with other facts.
var ErrOtherRun = errors.New("checkpoint of another run")

func (c cursor) check(facts Facts) error {
	if c.Format != checkpointFormat {
		return fmt.Errorf("%w: format %d, this version reads %d", ErrOtherRun, c.Format, checkpointFormat)
	}
	keys := slices.Sorted(maps.Keys(facts))
	for k := range c.Facts {
		if _, ok := facts[k]; !ok {
			keys = append(keys, k)
		}
	}
	slices.Sort(keys)
	for _, k := range keys {
		if c.Facts[k] != facts[k] {
			return fmt.Errorf("%w: its %s is %q, here it is %q", ErrOtherRun, k, c.Facts[k], facts[k])
		}
	}
	return nil
}

// writeCheckpoint fills dir.
func writeCheckpoint(dir string, at cursor, tensors []safetensors.Tensor) error {
	b, err := json.MarshalIndent(at, "", "  ")
	if err != nil {
		return fmt.Errorf("writing checkpoint: %w", err)
	}
	if err := os.WriteFile(filepath.Join(dir, stateFile), append(b, '\n'), 0o644); err != nil {
		return fmt.Errorf("writing checkpoint: %w", err)
	}
	if err := safetensors.Write(filepath.Join(dir, tensorFile), tensors, nil); err != nil {
		return fmt.Errorf("writing checkpoint: %w", err)
	}
	return nil
}

// checkpoint is an open one.
type checkpoint struct {
	cursor
	set *safetensors.Set
}

// openCheckpoint opens a checkpoint and refuses one of other facts.
func openCheckpoint(dir string, facts Facts) (*checkpoint, error) {
	c := &checkpoint{}
	b, err := os.ReadFile(filepath.Join(dir, stateFile))
	if err == nil {
		err = json.Unmarshal(b, &c.cursor)
	}
	if err != nil {
		return nil, fmt.Errorf("reading checkpoint %q: %w", dir, err)
	}
	if err := c.check(facts); err != nil {
		return nil, fmt.Errorf("reading checkpoint %q: %w", dir, err)
	}
	if c.set, err = safetensors.Open(filepath.Join(dir, tensorFile)); err != nil {
		return nil, fmt.Errorf("reading checkpoint: %w", err)
	}
	return c, nil
}

// floats returns a tensor of the checkpoint, which must have n elements.
func (c *checkpoint) floats(kind, name string, n int) ([]float32, error) {
	t, err := c.set.Floats(kind + "." + name)
	if err != nil {
		return nil, fmt.Errorf("reading checkpoint: %w", err)
	}
	if len(t) != n {
		return nil, fmt.Errorf("reading checkpoint: tensor %q has %d elements, the parameter %d", kind+"."+name, len(t), n)
	}
	return t, nil
}

func (c *checkpoint) has(kind, name string) bool {
	_, ok := c.set.Info(kind + "." + name)
	return ok
}
