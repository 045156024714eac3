// Package stages lists the built-in stages. They are ordinary plugins that happen to be
// linked in: each runs in a process of its own and imports nothing of the engine.
package stages

import (
	"github.com/so8t/so8t/plugins"
	"github.com/so8t/so8t/stages/bake"
	"github.com/so8t/so8t/stages/base"
	"github.com/so8t/so8t/stages/calibrate"
	"github.com/so8t/so8t/stages/command"
	"github.com/so8t/so8t/stages/data"
	"github.com/so8t/so8t/stages/eval"
	"github.com/so8t/so8t/stages/gguf"
	"github.com/so8t/so8t/stages/noop"
	"github.com/so8t/so8t/stages/ollama"
	"github.com/so8t/so8t/stages/report"
	"github.com/so8t/so8t/stages/train"
)

// Releasers remove what the built-in stages leave outside of a project, by kind.
func Releasers() map[string]plugins.Releaser {
	return map[string]plugins.Releaser{ollama.Kind: ollama.Release}
}

// Builtin returns the built-in stages, in the order of the pipeline.
func Builtin() []plugins.Builtin {
	return []plugins.Builtin{
		{Name: "data", Stage: data.New()},
		{Name: "base", Stage: base.New()},
		{Name: "train", Stage: train.New()},
		{Name: "bake", Stage: bake.Stage{}},
		{Name: "gguf", Stage: gguf.Stage{}},
		{Name: "ollama", Stage: ollama.Stage{}},
		{Name: "calibrate", Stage: calibrate.Stage{}},
		{Name: "eval", Stage: eval.Stage{}},
		{Name: "report", Stage: report.Stage{}},
		{Name: "command", Stage: command.Stage{}},
		{Name: "noop", Stage: noop.New()},
	}
}
