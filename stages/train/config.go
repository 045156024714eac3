package train

import (
	"fmt"

	"github.com/so8t/so8t/plugins"
	"github.com/so8t/so8t/stages/internal/loop"
	"github.com/so8t/so8t/stages/internal/phi3"
	"github.com/so8t/so8t/stages/internal/so8t"
)

// Config is the stage's `with`. The defaults are those of the guide this project follows.
type Config struct {
	Base       string `json:"base" format:"path" required:"true" help:"Hugging Face folder of a Phi-3-architecture model"`
	Dataset    string `json:"dataset" format:"path" media:"application/jsonl" required:"true" help:"JSONL of conversations to learn"`
	Validation string `json:"validation" format:"path" media:"application/jsonl" help:"JSONL for the validation loss"`

	Batch        int     `json:"batch" default:"2" min:"1" help:"rows of a micro-batch, packed into one"`
	Accumulation int     `json:"accumulation" default:"8" min:"1" help:"micro-batches of an optimiser step; the loss is normalised over all of them"`
	Epochs       float64 `json:"epochs" default:"3" exmin:"0" help:"passes over the dataset"`
	Steps        int64   `json:"steps" default:"0" min:"0" help:"optimiser steps; 0: as many as epochs needs"`
	Length       int     `json:"length" default:"512" min:"8" help:"longest row in tokens"`
	Overflow     string  `json:"overflow" default:"raise" enum:"raise,truncate" help:"what to do with a row that is longer"`
	Group        bool    `json:"group_by_length" default:"false" help:"rows of nearly one length share a step: steps of even memory and time"`
	Seed         uint64  `json:"seed" default:"42" help:"of the data order and the first LoRA weights"`

	LR          float64 `json:"lr" default:"2e-4" min:"0" help:"peak learning rate"`
	Schedule    string  `json:"schedule" default:"cosine" enum:"cosine,linear,constant,wsd" help:"wsd: warm-up, stable, decay"`
	Warmup      float64 `json:"warmup" default:"0.1" min:"0" max:"1" help:"part of the steps that the rate rises"`
	Decay       float64 `json:"decay" default:"0.1" min:"0" max:"1" help:"part of the steps that wsd's rate falls at the end"`
	WeightDecay float64 `json:"weight_decay" default:"0.01" min:"0" help:"of the LoRA matrices; the gates have none"`
	Clip        float64 `json:"clip" default:"1" min:"0" help:"largest gradient norm; 0: no clipping"`

	Divergence Divergence         `json:"divergence"`
	Lora       Lora               `json:"lora"`
	Gate       Gate               `json:"gate"`
	PET        PET                `json:"pet"`
	Eval       Eval               `json:"eval"`
	Checkpoint loop.Checkpointing `json:"checkpoint"`

	Storage   string `json:"storage" default:"native" enum:"native,f32,bf16,int8,nf4" help:"how the frozen base is kept in memory"`
	Recompute bool   `json:"recompute" default:"false" help:"keep only each layer's input and compute the rest again: less memory, a third more time"`
	Memory    int    `json:"memory" default:"0" min:"0" help:"MiB that the backend's buffers may take; beyond it micro-batches halve, the rows of a step stay; 0: no limit"`

	Scale   string `json:"scale" default:"full" enum:"full,tiny" help:"tiny: some seconds with a checkpoint every half second, for tests"`
	Backend string `json:"backend" default:"auto" enum:"auto,cpu,cuda" help:"what computes"`
	Threads int    `json:"threads" default:"0" min:"0" help:"0: one for each core"`
}

// Lora are the low-rank adapters.
type Lora struct {
	R       int      `json:"r" default:"64" min:"1" help:"rank"`
	Alpha   float64  `json:"alpha" default:"128" exmin:"0" help:"the adapter is scaled by alpha/r"`
	RSLoRA  bool     `json:"rslora" default:"false" help:"scale by alpha/√r instead, so that a higher rank does not shrink the adapter"`
	Dropout float64  `json:"dropout" default:"0.05" min:"0" exmax:"1"`
	Targets []string `json:"targets" default:"[\"qkv_proj\",\"o_proj\",\"gate_up_proj\",\"down_proj\"]" help:"projections that get an adapter: names, paths or regular expressions of paths"`
	From    string   `json:"from" format:"path" help:"PEFT adapter folder to go on from; its r, alpha and targets take the place of the ones here"`
}

// Gate is the SO8T rotation after o_proj.
type Gate struct {
	Enabled bool    `json:"enabled" default:"true"`
	Layers  string  `json:"layers" default:"all" help:"layers with a gate: all, middle, or numbers such as 0,3,8-11"`
	LRScale float64 `json:"lr_scale" default:"10" min:"0" help:"factor on lr: a rotation moves with about √7 of its parameters"`
	Clip    string  `json:"clip" default:"own" enum:"own,shared" help:"own: the gates' gradient norm is limited apart from LoRA's"`
}

// PET is the regulariser on the final states' second difference.
type PET struct {
	Scale   float64   `json:"scale" default:"1" min:"0" help:"factor on the weights; 0 switches it off"`
	Bounds  []float64 `json:"bounds" default:"[0.3,0.7]" help:"progress at which the second and third phase begin"`
	Weights []float64 `json:"weights" default:"[0.01,0.05,0.1]" help:"of the three phases"`
}

// Divergence is what happens when the loss is no number or explodes.
type Divergence struct {
	Limit     float64 `json:"limit" default:"5" min:"0" help:"nats that a loss may lie above its running mean; 0: any number is fine"`
	Rollbacks int     `json:"rollbacks" default:"0" min:"0" max:"30" help:"times that a run may go back to its last checkpoint and on with half the rate; 0: it stops"`
}

// Eval is the validation during training.
type Eval struct {
	Every    int64 `json:"every" default:"0" min:"0" help:"steps between two; 0: ten in a run"`
	Patience int   `json:"patience" default:"0" min:"0" help:"stop after so many without a new best; 0: never"`
	Best     bool  `json:"best" default:"true" help:"the adapter is that of the best validation, not of the last step"`
}

// parse reads `with`; what the schema cannot say is checked by problems.
func parse(with []byte) (Config, error) {
	var c Config
	if err := plugins.DecodeWith(with, &c); err != nil {
		return c, err
	}
	if c.Scale == "tiny" {
		c.Checkpoint.Every = "500ms"
	}
	return c, nil
}

// A tiny run is long enough to be killed in the middle of it, and no longer with a larger
// model: tinySteps of tinyWork (parameters of the base times tokens of a step, as the
// quickstart has them) take about 18 seconds of processor time with our own kernels, and
// a run of more work a step takes fewer steps, but tinyLeast.
const (
	tinySteps = 800
	tinyWork  = 690_000 * 750
	tinyLeast = 10
)

// steps of the run over a dataset of rows with so many tokens in all, on a base of so many
// parameters.
func (c Config) steps(rows, tokens int, parameters int64) int64 {
	if c.Scale == "tiny" {
		work := float64(parameters) * float64(tokens) / float64(rows) * float64(c.Batch*c.Accumulation)
		return int64(min(tinySteps, max(tinyLeast, tinySteps*tinyWork/work)))
	}
	if c.Steps > 0 {
		return c.Steps
	}
	window := float64(c.Batch * c.Accumulation)
	return max(1, ceil(float64(rows)*c.Epochs/window))
}

func ceil(x float64) int64 {
	n := int64(x)
	if float64(n) < x {
		n++
	}
	return n
}

func (c Config) schedule(steps int64) loop.Schedule {
	s := loop.Schedule{Kind: c.Schedule, Peak: c.LR, Warmup: ceil(c.Warmup * float64(steps)), Steps: steps}
	if c.Schedule == "wsd" {
		s.Decay = min(ceil(c.Decay*float64(steps)), steps-s.Warmup)
	}
	return s
}

// pet is the schedule of PET's weight, the factor applied.
func (c Config) pet() (so8t.Schedule, error) {
	var s so8t.Schedule
	if len(c.PET.Bounds) != 2 || len(c.PET.Weights) != 3 {
		return s, fmt.Errorf("want 2 bounds and 3 weights, not %d and %d", len(c.PET.Bounds), len(c.PET.Weights))
	}
	copy(s.Boundaries[:], c.PET.Bounds)
	for i, w := range c.PET.Weights {
		s.Weights[i] = c.PET.Scale * w
	}
	return s, s.Check()
}

// gated is the choice of layers as the model takes it.
func (c Config) gated() string {
	if !c.Gate.Enabled {
		return "none"
	}
	return c.Gate.Layers
}

// adapter is what is trained, as the model takes it; from is where it starts, or nil.
func (c Config) adapter(from *so8t.Adapter) phi3.AdapterOptions {
	return phi3.AdapterOptions{
		Rank: c.Lora.R, Alpha: c.Lora.Alpha, RankStab: c.Lora.RSLoRA, Dropout: c.Lora.Dropout, Targets: c.Lora.Targets, Gates: c.gated(), From: from,
	}
}

// start reads the adapter to go on from; nil when there is none.
func (c Config) start() (*so8t.Adapter, error) {
	if c.Lora.From == "" {
		return nil, nil
	}
	return so8t.ReadAdapter(c.Lora.From)
}
