package base

import (
	"fmt"

	"github.com/so8t/so8t/plugins"
	"github.com/so8t/so8t/stages/internal/loop"
	"github.com/so8t/so8t/stages/internal/phi3"
)

// Config is the stage's `with`. The defaults are a model of about 0.7 million parameters
// that two cores pre-train in a minute: for trying the pipeline, not for using the model.
type Config struct {
	Model  string `json:"model" format:"path" help:"a model folder to pass on instead of making one"`
	Corpus string `json:"corpus" format:"path" help:"text to learn the tokenizer and the model from, one document a row"`

	Preset       string   `json:"preset" default:"tiny" enum:"tiny" help:"the sizes that are not given: tiny is 128 wide with 4 layers"`
	Vocabulary   int      `json:"vocabulary" default:"768" min:"300" help:"tokens, those of the chat format included"`
	TokenBytes   int      `json:"token_bytes" default:"12" min:"0" help:"longest token in bytes; Japanese has no spaces, so a frequent phrase would become one token; 0: no bound"`
	Keep         []string `json:"keep" default:"[\"判定: ALLOW\",\"判定: ESCALATION\",\"判定: DENY\",\"理由:\"]" help:"texts that become as few tokens as can be"`
	Hidden       int      `json:"hidden" default:"128" min:"16"`
	Layers       int      `json:"layers" default:"4" min:"1"`
	Heads        int      `json:"heads" default:"4" min:"1"`
	KVHeads      int      `json:"kv_heads" default:"2" min:"1"`
	Intermediate int      `json:"intermediate" default:"256" min:"8"`
	Positions    int      `json:"positions" default:"1024" min:"64" help:"longest sequence that the model allows"`

	Steps       int64   `json:"steps" default:"520" min:"1" help:"optimiser steps"`
	Tokens      int     `json:"tokens" default:"2048" min:"16" help:"tokens of a step, whole documents packed"`
	LR          float64 `json:"lr" default:"3e-3" min:"0" help:"peak learning rate"`
	Schedule    string  `json:"schedule" default:"cosine" enum:"cosine,linear,constant"`
	Warmup      float64 `json:"warmup" default:"0.05" min:"0" max:"1" help:"part of the steps that the rate rises"`
	WeightDecay float64 `json:"weight_decay" default:"0.01" min:"0" help:"of the matrices"`
	Clip        float64 `json:"clip" default:"1" min:"0" help:"largest gradient norm; 0: no clipping"`
	Seed        uint64  `json:"seed" default:"42" help:"of the first weights and the data order"`

	Checkpoint loop.Checkpointing `json:"checkpoint"`

	Scale   string `json:"scale" default:"full" enum:"full,tiny" help:"tiny: a few seconds; its model has learnt next to nothing; for tests"`
	Backend string `json:"backend" default:"auto" enum:"auto,cpu,cuda" help:"what computes"`
	Threads int    `json:"threads" default:"0" min:"0" help:"0: one for each core"`
}

func parse(with []byte) (Config, error) {
	var c Config
	if err := plugins.DecodeWith(with, &c); err != nil {
		return c, err
	}
	if c.Scale == "tiny" {
		c.Steps, c.Checkpoint.Every = tinySteps, "500ms"
	}
	return c, nil
}

// tinySteps takes about two seconds on two cores with the default sizes.
const tinySteps = 40

func (c Config) schedule() loop.Schedule {
	return loop.Schedule{Kind: c.Schedule, Peak: c.LR, Warmup: int64(c.Warmup * float64(c.Steps)), Steps: c.Steps}
}

// architecture is the model's configuration for a tokenizer.
func (c Config) architecture(v vocabulary) (*phi3.Config, error) {
	if c.Hidden%c.Heads != 0 {
		return nil, fmt.Errorf("hidden %d is no multiple of heads %d", c.Hidden, c.Heads)
	}
	return &phi3.Config{
		Hidden: c.Hidden, Layers: c.Layers, Heads: c.Heads, KVHeads: c.KVHeads, HeadDim: c.Hidden / c.Heads, Intermediate: c.Intermediate,
		Vocab: v.size, MaxPositions: c.Positions, OriginalMaxPositions: c.Positions,
		RMSEps: 1e-5, RopeTheta: 10000, PartialRotary: 0.75, TiedEmbeddings: true,
		BOS: int(v.eot), EOS: []int{int(v.eot)}, Pad: int(v.eot), DType: "float32", InitRange: 0.02,
	}, nil
}
