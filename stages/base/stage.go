// Package base is the stage that makes the model to be fine-tuned: a byte-level BPE learnt
// from the corpus and a small Phi3ForCausalLM pre-trained on it from scratch, written as a
// Hugging Face folder. It exists so that the pipeline can be tried, and tested, without a
// download; given a model folder it checks that and passes it on.
package base

import (
	"github.com/so8t/so8t/plugins"
)

// Stage is the built-in stage "base".
type Stage struct{}

// New returns the stage.
func New() plugins.Stage { return Stage{} }

var _ plugins.Stage = Stage{}

// Outputs, below the attempt's output folder.
const (
	modelDir    = "model"
	curveFile   = "curve.jsonl"
	metricsFile = "metrics.jsonl"
)

// Describe says what the stage is.
func (Stage) Describe() plugins.Description {
	return plugins.Description{
		Name: "base", Kind: plugins.KindStage, Revision: 1, Checkpoints: true,
		Help: "pre-trains a small Phi-3-architecture model and its tokenizer from a corpus, or passes a given model on",
		With: plugins.SchemaOf(Config{}),
		Outputs: []plugins.Output{
			{Name: "model", Path: modelDir, MediaType: "application/vnd.so8t.hf-model", Help: "Hugging Face folder"},
			{Name: "curve", Path: curveFile, MediaType: "application/jsonl", Help: "one line a step, no times", Optional: true},
			{Name: "metrics", Path: metricsFile, MediaType: "application/jsonl", Help: "one line a step, with rates", Optional: true, Volatile: true},
		},
		Metrics: []plugins.MetricSpec{
			{Name: "loss", Help: "cross-entropy per token of the last step, nats", Better: "lower"},
			{Name: "tokens_per_second", Help: "of the attempt that finished", Better: "higher"},
			{Name: "parameters", Help: "of the model"},
			{Name: "vocabulary", Help: "tokens of its tokenizer"},
			{Name: "documents", Help: "of the corpus"},
			{Name: "tokens", Help: "of the corpus"},
			{Name: "steps", Help: "optimiser steps taken"},
			{Name: "peak_memory_bytes", Help: "of the backend's buffers"},
			{Name: "seconds", Help: "wall time of the attempt that finished"},
		},
	}
}
