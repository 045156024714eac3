// Package train is the stage that fine-tunes a frozen Phi-3-architecture model: LoRA on its
// projections and an SO8T gate after each o_proj, on conversations of which only the
// assistant's words are learnt.
//
// The loop is stages/internal/loop; here are the parameters, what can be found out before
// anything starts, and the files.
package train

import (
	"github.com/so8t/so8t/plugins"
)

// Stage is the built-in stage "train".
type Stage struct{}

// New returns the stage.
func New() plugins.Stage { return Stage{} }

var _ plugins.Stage = Stage{}

// Outputs, below the attempt's output folder.
const (
	adapterDir  = "adapter"
	curveFile   = "curve.jsonl"
	metricsFile = "metrics.jsonl"
	sampleFile  = "sample.txt"
	chartsDir   = "charts"
)

// Describe says what the stage is.
func (Stage) Describe() plugins.Description {
	return plugins.Description{
		Name: "train", Kind: plugins.KindStage, Revision: 4, Checkpoints: true,
		Help: "fine-tunes a model with LoRA and SO8T gates; killed and resumed, its adapter and curve are the same bytes",
		With: plugins.SchemaOf(Config{}),
		Outputs: []plugins.Output{
			{Name: "adapter", Path: adapterDir, MediaType: "application/vnd.so8t.adapter", Help: "PEFT adapter and gates"},
			{Name: "curve", Path: curveFile, MediaType: "application/jsonl", Help: "one line a step, no times"},
			{Name: "sample", Path: sampleFile, MediaType: "text/plain", Help: "the first row as the model sees it, what is learnt marked"},
			{Name: "metrics", Path: metricsFile, MediaType: "application/jsonl", Help: "one line a step, with rates", Volatile: true},
			{Name: "charts", Path: chartsDir, MediaType: "application/vnd.so8t.charts", Help: "the same as metrics.csv and as events for TensorBoard", Volatile: true},
		},
		Metrics: []plugins.MetricSpec{
			{Name: "loss", Help: "cross-entropy and PET of the last step, nats", Better: "lower"},
			{Name: "ce", Help: "cross-entropy per target token of the last step, nats", Better: "lower"},
			{Name: "pet", Help: "PET of the last step, before its weight"},
			{Name: "eval_loss", Help: "cross-entropy per target token on the validation set of the adapter that was kept, nats", Better: "lower"},
			{Name: "tokens_per_second", Help: "of the attempt that finished, prompts included", Better: "higher"},
			{Name: "steps", Help: "optimiser steps taken"},
			{Name: "best_step", Help: "step of the best validation"},
			{Name: "rows", Help: "rows of the dataset"},
			{Name: "truncated_rows", Help: "rows that lost their end, validation included", Better: "lower"},
			{Name: "tokens", Help: "tokens of the dataset"},
			{Name: "trained_parameters", Help: "of LoRA and gates"},
			{Name: "gate_angle_mean", Help: "mean rotation angle of the gates, radians"},
			{Name: "gate_angle_max", Help: "largest rotation angle of the gates, radians"},
			{Name: "peak_memory_bytes", Help: "of the backend's buffers"},
			{Name: "micro_batch_halvings", Help: "for want of memory", Better: "lower"},
			{Name: "rollbacks", Help: "of a run that diverged", Better: "lower"},
			{Name: "checkpoints", Help: "written by the attempt that finished"},
			{Name: "checkpoint_stall_seconds", Help: "that its steps waited for them", Better: "lower"},
			{Name: "seconds", Help: "wall time of the attempt that finished"},
		},
	}
}
