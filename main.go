// Command so8t takes a language model from data to a measured, served model, one YAML
// workflow at a time, and survives being killed on the way.
package main

import (
	"os"
	"runtime"

	"github.com/so8t/so8t/engine/cli"
	"github.com/so8t/so8t/stages"
)

func main() {
	os.Exit(cli.Main(os.Args[1:], program(), cli.Streams{In: os.Stdin, Out: os.Stdout, Err: os.Stderr}))
}

func program() cli.Program {
	return cli.Program{Self: self(), Stages: stages.Builtin()}
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
