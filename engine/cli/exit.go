package cli

import (
	"errors"
	"fmt"
	"strings"

	"github.com/so8t/so8t/engine"
	"github.com/so8t/so8t/engine/internal/console"
	"github.com/so8t/so8t/engine/workflow"
	"github.com/so8t/so8t/plugins"
	"github.com/so8t/so8t/plugins/manifest"
	"github.com/so8t/so8t/state"
)

// Exit codes; the README lists them for users.
const (
	exitDone     = 0
	exitFailed   = 1  // a stage failed, a gate refused, a plugin did not pass its tests
	exitUsage    = 2  // wrong usage, problems in the workflow, no such run, nothing to resume, blocked
	exitHeld     = 3  // another engine holds the run, or the state is newer than this binary
	exitDamaged  = 4  // the state is damaged
	exitResource = 5  // something is missing: disk, memory, GPU, server, secret, model folder
	exitPending  = 10 // plan --exit-code, and something would run
	exitBug      = 70 // a bug of ours
)

// signalExit is 128 + the signal's number, as shells expect it.
var signalExit = map[engine.Signal]int{engine.SIGHUP: 129, engine.SIGINT: 130, engine.SIGTERM: 143}

// exit says what went wrong, once, and chooses the code.
func (a *app) exit(err error) int {
	if err == nil {
		return exitDone
	}
	if code, quiet := isQuiet(err); quiet {
		return code
	}
	var problems workflow.Problems
	if errors.As(err, &problems) {
		console.Problems(a.Err, a.style(a.Err), problems)
		return exitUsage
	}
	var check *engine.CheckError
	if errors.As(err, &check) {
		console.Problems(a.Err, a.style(a.Err), a.checkProblems(check))
		return exitCode(err)
	}
	fmt.Fprintf(a.Err, "so8t: %s\n", console.PlainText(strings.TrimSpace(err.Error())))
	var usage usageError
	if errors.As(err, &usage) {
		fmt.Fprintln(a.Err, "Run 'so8t --help' for the commands, 'so8t COMMAND --help' for one.")
		return exitUsage
	}
	return exitCode(err)
}

func exitCode(err error) int {
	var held *engine.RunHeldError
	var check *engine.CheckError
	var selection *engine.SelectionError
	var changed *engine.ChangedError
	var ambiguous *state.AmbiguousError
	var noLocks *state.CannotLockError
	var noPlace noPlaceError
	var coded codedError
	var archive *engine.ArchiveError
	switch {
	case errors.As(err, &coded):
		return coded.code
	case errors.As(err, &held), errors.Is(err, state.ErrHeld), errors.Is(err, state.ErrTooNew):
		return exitHeld
	case errors.Is(err, state.ErrDamaged):
		return exitDamaged
	case errors.As(err, &check):
		if check.ResourceMissing() {
			return exitResource
		}
		return exitUsage
	case errors.As(err, &noLocks), errors.As(err, &noPlace), errors.Is(err, manifest.ErrNotBuilt):
		return exitResource
	case errors.As(err, &archive), errors.Is(err, state.ErrExists), errors.As(err, &selection), errors.As(err, &changed), errors.As(err, &ambiguous),
		errors.Is(err, engine.ErrNoRun), errors.Is(err, engine.ErrNothingToResume), errors.Is(err, engine.ErrNoStage):
		return exitUsage
	}
	return pluginCode(err)
}

// pluginCode is the code of what a plugin, or starting one, said before any stage ran.
func pluginCode(err error) int {
	var e *plugins.Error
	if !errors.As(err, &e) {
		return exitFailed
	}
	switch e.Code {
	case plugins.BadInput:
		return exitUsage
	case plugins.Unavailable, plugins.OutOfDisk, plugins.OutOfMemory:
		return exitResource
	}
	return exitFailed
}
