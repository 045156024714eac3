package cli_test

import (
	"context"
	"fmt"
	"os"
	"testing"

	"github.com/rogpeppe/go-internal/testscript"

	"github.com/so8t/so8t/engine/cli"
	"github.com/so8t/so8t/plugins"
	"github.com/so8t/so8t/plugins/examples/broken"
	"github.com/so8t/so8t/stages"
)

// TestMain makes this test binary the program: started under the name so8t it is so8t, and it
// starts itself again under that name as its stages.
func TestMain(m *testing.M) {
	if err := os.Setenv("GORACE", raceOptions); err != nil {
		panic(err)
	}
	testscript.Main(m, map[string]func(){
		"so8t":          func() { exit(program()) },
		"broken-plugin": func() { exit(brokenPlugin()) },
	})
}

func program() int {
	self, err := os.Executable()
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		return 70
	}
	p := cli.Program{Self: self, Stages: append(stages.Builtin(), plugins.Builtin{Name: "cutter", Stage: cutter{}})}
	if dir := os.Getenv("WORKFLOWS"); dir != "" {
		p.Workflows = os.DirFS(dir)
	}
	if dir := os.Getenv("EXAMPLES"); dir != "" {
		p.Examples = os.DirFS(dir)
	}
	for _, tool := range stages.Tools() {
		run := func(ctx context.Context, args []string, s cli.Streams) error {
			return tool.Run(ctx, args, s.In, s.Out, s.Err)
		}
		p.Tools = append(p.Tools, cli.Tool{Name: tool.Name, Usage: tool.Usage, Help: tool.Help, Run: run})
	}
	for _, probe := range stages.Probes() {
		p.Probes = append(p.Probes, cli.Probe(probe))
	}
	return cli.Main(os.Args[1:], p, cli.Streams{In: os.Stdin, Out: os.Stdout, Err: os.Stderr})
}

// brokenPlugin makes it a plugin with a fault.
func brokenPlugin() int {
	if err := broken.Serve(os.Getenv(broken.RoleKey)); err != nil {
		fmt.Fprintln(os.Stderr, err)
		return 1
	}
	return 0
}
