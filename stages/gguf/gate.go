package gguf

import (
	"context"
	"fmt"
	"math"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"github.com/so8t/so8t/plugins"
	"github.com/so8t/so8t/stages/internal/chat"
	"github.com/so8t/so8t/stages/internal/compute"
	"github.com/so8t/so8t/stages/internal/dataset"
	"github.com/so8t/so8t/stages/internal/divergence"
	"github.com/so8t/so8t/stages/internal/modelfile"
	"github.com/so8t/so8t/stages/internal/phi3"
)

// large is the number of parameters from which on a model is slow to run and its limits are wider:
// the published ones of large models.
const large = 1_000_000_000

// limits of the mean KL in nats, by type: of small models, whose predictions are measured whole,
// and of large ones.
var limits = map[string][2]float64{
	"F32": {1e-5, 1e-5}, "F16": {1e-5, 1e-4}, "BF16": {5e-5, 5e-4}, "Q8_0": {5e-4, 5e-3}, "Q6_K": {2e-3, 1.2e-2},
	"Q5_K_M": {4e-3, 2.4e-2}, "Q5_K_S": {6e-3, 3e-2}, "Q5_1": {6e-3, 3e-2}, "Q5_0": {8e-3, 4e-2},
	"Q4_K_M": {1e-2, 6e-2}, "Q4_K_S": {1.5e-2, 8e-2}, "Q4_1": {3e-2, 0.15}, "Q4_0": {3e-2, 0.15},
	"Q3_K_M": {6e-2, 0.3}, "Q3_K_S": {0.12, 0.5},
}

// leastSameTop is the share of positions, by type, at which both must find the same token most
// probable. It catches what a mean hides: a few positions that are all wrong. Near ties of a model
// that has learnt little cost most of what is allowed here.
var leastSameTop = map[string]float64{
	"F32": 0.98, "F16": 0.98, "BF16": 0.95, "Q8_0": 0.9, "Q6_K": 0.85, "Q5_K_M": 0.8, "Q5_K_S": 0.8, "Q5_1": 0.8, "Q5_0": 0.8,
	"Q4_K_M": 0.7, "Q4_K_S": 0.7, "Q4_1": 0.65, "Q4_0": 0.65, "Q3_K_M": 0.5, "Q3_K_S": 0.5,
}

// sameTopLimit is the smallest share of equal most probable tokens.
func (c Config) sameTopLimit() float64 {
	if c.MinSameTop > 0 {
		return c.MinSameTop
	}
	return leastSameTop[c.Type]
}

// heldOutTokens are how many tokens are looked at when the user does not say.
func heldOutTokens(c *phi3.Config) int {
	if c.Parameters() >= large {
		return 1024
	}
	return 8192
}

// limit is the largest mean KL.
func (c Config) limit(parameters int64) float64 {
	if c.MaxKL > 0 {
		return c.MaxKL
	}
	of := limits[c.Type]
	if parameters >= large {
		return of[1]
	}
	return of[0]
}

// Divergence is what the gate found.
type Divergence struct {
	divergence.Report
	PerplexityRatio float64 `json:"perplexity_ratio"`
	Limit           float64 `json:"kl_limit"` // of the mean KL
	LeastSameTop    float64 `json:"same_top_limit"`
}

// gate compares the written file's predictions on held-out text with those of the model that it
// was made of: the base with its adapter when they are given, else the folder.
func (c Config) gate(ctx context.Context, a *plugins.Attempt, path string, m *material) (*Divergence, error) {
	ids, err := heldOut(c.HeldOut, m.Template)
	if err != nil {
		return nil, plugins.Errorf(plugins.BadInput, "%w", err)
	}
	chunk := min(divergence.Chunk, m.Config.OriginalMaxPositions, m.Config.MaxPositions)
	tokens := c.HeldOutTokens
	if tokens == 0 {
		tokens = heldOutTokens(m.Config)
	}
	ids = ids[:min(len(ids), max(tokens, chunk))/chunk*chunk]
	if len(ids) == 0 {
		return nil, plugins.Errorf(plugins.BadInput, "held-out text %q has less than the %d tokens of one chunk", c.HeldOut, chunk)
	}
	m.Template = nil // its vocabulary is large, and done with
	be, err := compute.Open(c.Backend, c.Threads)
	if err != nil {
		return nil, err
	}
	defer func() { _ = be.Close() }()
	written, err := modelfile.Open(path)
	if err != nil {
		return nil, err
	}
	defer written.Close()
	written.Template = nil
	if err := sameShape(m.Config, written.Config); err != nil {
		return nil, plugins.Errorf(plugins.Internal, "the written file: %w", err)
	}
	pair := divergence.Pair{Backend: be, Config: m.Config, Reference: m.reference, Candidate: phi3.Side{Source: written.Source}}
	r, err := pair.Measure(ctx, ids, chunk, func(done, total int) { a.Progress(int64(done), int64(total), "layer") })
	if err != nil {
		return nil, err
	}
	d := &Divergence{Report: r, PerplexityRatio: r.PerplexityRatio(), Limit: c.limit(m.Config.Parameters()), LeastSameTop: c.sameTopLimit()}
	return d, d.check(c)
}

// sameShape wants two models to compute alike.
func sameShape(a, b *phi3.Config) error {
	if d := a.Differences(b); d != nil {
		return fmt.Errorf("its configuration is another: %s", strings.Join(d, ", "))
	}
	return nil
}

// check refuses a file that predicts otherwise than its source.
func (d *Divergence) check(c Config) error {
	if d.MeanKL <= d.Limit && !math.IsNaN(d.MeanKL) {
		if d.SameTop >= d.LeastSameTop {
			return nil
		}
		return plugins.Errorf(plugins.Gate, "%s finds the same token most probable as the unquantised model at %.2f %% of %d held-out positions, less than %.2f %% (mean KL %.3g nats); take a type with more bits, or set min_same_top",
			c.Type, 100*d.SameTop, d.Positions, 100*d.LeastSameTop, d.MeanKL)
	}
	return plugins.Errorf(plugins.Gate, "mean KL of %s from the unquantised model is %.3g nats on %d held-out positions, more than %.3g (99 %% %.3g, max %.3g; same top %.2f %%; perplexity %.4f instead of %.4f); take a type with more bits, or set max_kl",
		c.Type, d.MeanKL, d.Positions, d.Limit, d.P99KL, d.MaxKL, 100*d.SameTop, d.Candidate.Perplexity, d.Reference.Perplexity)
}

// heldOut reads tokens of a text, or of a dataset's conversations one after the other.
func heldOut(path string, template *chat.Template) ([]int32, error) {
	if filepath.Ext(path) != ".jsonl" {
		text, err := os.ReadFile(path)
		if err != nil {
			return nil, fmt.Errorf("reading held-out text: %w", err)
		}
		return template.Tokenizer().Encode(string(text)), nil
	}
	rows, err := dataset.ReadFile(path, false)
	if err != nil {
		return nil, err
	}
	var all [][]int32
	for _, row := range rows {
		ids, _, err := template.Example(row.Messages)
		if err != nil {
			return nil, fmt.Errorf("held-out row %q: %w", row.ID, err)
		}
		all = append(all, ids)
	}
	return slices.Concat(all...), nil
}
