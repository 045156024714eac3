// Command so8t takes a language model from data to a measured, served model, one YAML
// workflow at a time, and survives being killed on the way.
package main

import (
	"context"
	"embed"
	"io/fs"
	"os"
	"runtime"

	"github.com/so8t/so8t/engine/cli"
	"github.com/so8t/so8t/stages"
)

//go:embed workflows/*.yaml
//go:embed plugins/examples/evaluator-go/main.go
//go:embed plugins/examples/evaluator-python/*.py plugins/examples/evaluator-python/stage.proto
//go:embed plugins/examples/evaluator-python/requirements.txt plugins/examples/evaluator-python/so8t-plugin.yaml
var shipped embed.FS

func main() {
	os.Exit(cli.Main(os.Args[1:], program(), cli.Streams{In: os.Stdin, Out: os.Stdout, Err: os.Stderr}))
}

func program() cli.Program {
	p := cli.Program{Self: self(), Stages: stages.Builtin(), GPUs: stages.GPUs, Releasers: stages.Releasers()}
	if workflows, err := fs.Sub(shipped, "workflows"); err == nil { // the name is good
		p.Workflows = workflows
	}
	if examples, err := fs.Sub(shipped, "plugins/examples"); err == nil { // so is this one
		p.Examples = examples
	}
	for _, t := range stages.Tools() {
		run := func(ctx context.Context, args []string, s cli.Streams) error {
			return t.Run(ctx, args, s.In, s.Out, s.Err)
		}
		p.Tools = append(p.Tools, cli.Tool{Name: t.Name, Usage: t.Usage, Help: t.Help, Run: run})
	}
	for _, probe := range stages.Probes() {
		p.Probes = append(p.Probes, cli.Probe(probe))
	}
	return p
}

// self is how this binary is started again. On Linux /proc/self/exe is this very binary, also
// when the file was replaced by an upgrade meanwhile.
func self() string {
	if runtime.GOOS == "linux" {
		return "/proc/self/exe"
	}
	path, err := os.Executable()
	if err != nil {
		return os.Args[0]
	}
	return path
}
