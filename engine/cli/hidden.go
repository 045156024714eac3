package cli

import (
	"fmt"

	"github.com/so8t/so8t/plugins/sdk"
	"github.com/so8t/so8t/state"
)

// Hidden subcommands are how this binary starts itself: as a built-in stage, and as the child
// that walks a database which may be so damaged that walking it kills the process.
const (
	hiddenStage = "__stage"
	hiddenCheck = "__check-database"
)

// hidden serves a hidden subcommand. It comes before everything else: a stage's process should
// not build a command tree that it does not use.
func (a *app) hidden(args []string) (code int, served bool) {
	if len(args) != 2 {
		return 0, false
	}
	switch args[0] {
	case hiddenStage:
		return a.serveStage(args[1]), true
	case hiddenCheck:
		for _, finding := range state.CheckDatabase(args[1]) {
			fmt.Fprintln(a.Out, finding)
		}
		return exitDone, true
	}
	return 0, false
}

func (a *app) serveStage(name string) int {
	for _, builtin := range a.Stages {
		if builtin.Name != name {
			continue
		}
		if err := sdk.Serve(builtin.Stage); err != nil {
			fmt.Fprintf(a.Err, "so8t: %v\n", err)
			return exitFailed
		}
		return exitDone
	}
	fmt.Fprintf(a.Err, "so8t: no built-in stage is called %q\n", name)
	return exitUsage
}
