package bake

import (
	"context"
	"fmt"
	"math"

	"github.com/so8t/so8t/plugins"
	"github.com/so8t/so8t/stages/internal/backend"
	"github.com/so8t/so8t/stages/internal/baked"
	"github.com/so8t/so8t/stages/internal/chat"
	"github.com/so8t/so8t/stages/internal/dataset"
	"github.com/so8t/so8t/stages/internal/phi3"
	"github.com/so8t/so8t/stages/internal/safetensors"
	"github.com/so8t/so8t/stages/internal/so8t"
)

// chooser finds the base to merge onto.
type chooser struct {
	config     Config
	be         backend.Backend
	folder     *phi3.Folder
	adapter    *so8t.Adapter
	validation examples
}

func (c chooser) choose(ctx context.Context) (phi3.Source, baked.Onto, error) {
	o := baked.Onto{Storage: c.config.Storage, Base: baked.Original, Reason: "training kept the base as it is in its files: the two bases are the same"}
	kept, differs := phi3.NewKept(c.folder, phi3.Storage(c.config.Storage))
	if !differs {
		return c.folder, o, nil
	}
	if len(c.validation.seqs) > 0 {
		nll, err := c.measure(ctx, kept)
		if err != nil {
			return nil, o, err
		}
		o.ValidationTokens, o.NLLOriginal, o.NLLDequantised = c.validation.targets, &nll[0], &nll[1]
	}
	switch {
	case c.config.MergeOnto != "auto":
		o.Base, o.Reason = c.config.MergeOnto, "merge_onto says so"
	case o.NLLOriginal == nil:
		o.Base, o.Reason = baked.Dequantised, "the adapter was fitted to it, and there is no validation set to compare on"
	case *o.NLLDequantised < *o.NLLOriginal:
		o.Base, o.Reason = baked.Dequantised, "its validation NLL is lower"
	default:
		o.Reason = "its validation NLL is no higher"
	}
	if o.Base == baked.Dequantised {
		return kept, o, nil
	}
	return c.folder, o, nil
}

// measure is the mean NLL of the exported model on either base, original first.
func (c chooser) measure(ctx context.Context, kept phi3.Source) ([2]float64, error) {
	d := dtypes[c.config.dtype(c.folder.Config)]
	var sides []phi3.Side
	for _, base := range []phi3.Source{c.folder, kept} {
		merged, err := phi3.NewMerged(c.folder.Config, base, c.adapter)
		if err != nil {
			return [2]float64{}, plugins.Errorf(plugins.BadInput, "%w", err)
		}
		sides = append(sides, phi3.Side{Source: &exported{merged, d}})
	}
	var nll [2]float64
	for _, batch := range c.validation.batches() {
		sums := newLogSums(len(sides), batch.next)
		run := phi3.Lockstep{Backend: c.be, Config: c.folder.Config, Sides: sides}
		if err := run.Run(ctx, batch.seqs, sums.add); err != nil {
			return nll, fmt.Errorf("measuring the validation NLL: %w", err)
		}
		for side := range nll {
			nll[side] += sums.total(side) / float64(c.validation.targets)
		}
	}
	if math.IsNaN(nll[0]) || math.IsNaN(nll[1]) {
		return nll, plugins.Errorf(plugins.BadInput, "the validation NLL is not a number: the adapter is broken")
	}
	return nll, nil
}

// exported is a source with its numbers rounded as they are written.
type exported struct {
	phi3.Source
	dtype safetensors.DType
}

// ReadFloats reads part of a tensor.
func (e *exported) ReadFloats(name string, first int, dst []float32) error {
	if err := e.Source.ReadFloats(name, first, dst); err != nil {
		return err
	}
	for i, v := range dst {
		dst[i] = cast(v, e.dtype)
	}
	return nil
}

// How much of a validation set is looked at, and how much of that at a time.
const (
	validationTokens = 1024
	batchTokens      = 512
)

// examples are conversations with the tokens whose probability counts.
type examples struct {
	seqs    [][]int32
	next    [][]int32 // the token that is to come after each, -1 where it does not count
	targets int
}

// readExamples takes the first rows of a dataset.
func readExamples(path string, template *chat.Template, c *phi3.Config) (examples, error) {
	var e examples
	if path == "" {
		return e, nil
	}
	rows, err := dataset.ReadFile(path, false)
	if err != nil {
		return e, plugins.Errorf(plugins.BadInput, "%w", err)
	}
	tokens := 0
	for _, row := range rows {
		ids, learn, err := template.Example(row.Messages)
		if err != nil {
			return e, plugins.Errorf(plugins.BadInput, "%s: row %q: %w", path, row.ID, err)
		}
		ids = ids[:min(len(ids), batchTokens, c.Longest())]
		if tokens += len(ids); tokens > validationTokens {
			break
		}
		next := make([]int32, len(ids))
		for i := range next {
			next[i] = -1
			if i+1 < len(ids) && learn[i+1] {
				next[i] = ids[i+1]
				e.targets++
			}
		}
		e.seqs, e.next = append(e.seqs, ids), append(e.next, next)
	}
	if e.targets == 0 {
		return e, plugins.Errorf(plugins.BadInput, "validation set %q has no answer to measure", path)
	}
	return e, nil
}

// batch is what runs at once.
type batch struct {
	seqs [][]int32
	next []int32 // of all sequences, one after the other
}

func (e examples) batches() (list []batch) {
	var b batch
	for i, ids := range e.seqs {
		if len(b.next) > 0 && len(b.next)+len(ids) > batchTokens {
			list, b = append(list, b), batch{}
		}
		b.seqs, b.next = append(b.seqs, ids), append(b.next, e.next[i]...)
	}
	return append(list, b)
}

// logSums collects log Σ exp of rows of logits that come in pieces, in float64.
type logSums struct {
	next                []int32
	high, sum, expected [][]float64 // [side][row]; sum is relative to exp(high)
}

func newLogSums(sides int, next []int32) *logSums {
	s := &logSums{next: next}
	for range sides {
		high := make([]float64, len(next))
		for i := range high {
			high[i] = math.Inf(-1)
		}
		s.high, s.sum, s.expected = append(s.high, high), append(s.sum, make([]float64, len(next))), append(s.expected, make([]float64, len(next)))
	}
	return s
}

func (s *logSums) add(first, n int, logits [][]float32) error {
	for side, all := range logits {
		for row, next := range s.next {
			if next < 0 {
				continue
			}
			part := all[row*n : (row+1)*n]
			high := s.high[side][row]
			for _, v := range part {
				high = max(high, float64(v))
			}
			sum := s.sum[side][row] * math.Exp(s.high[side][row]-high)
			for _, v := range part {
				sum += math.Exp(float64(v) - high)
			}
			s.high[side][row], s.sum[side][row] = high, sum
			if at := int(next) - first; at >= 0 && at < n {
				s.expected[side][row] = float64(part[at])
			}
		}
	}
	return nil
}

// total is Σ -log p of what came next.
func (s *logSums) total(side int) (t float64) {
	for row, next := range s.next {
		if next >= 0 {
			t += s.high[side][row] + math.Log(s.sum[side][row]) - s.expected[side][row]
		}
	}
	return t
}
