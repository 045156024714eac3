package engine

import (
	"context"
	"errors"
	"fmt"

	"github.com/so8t/so8t/engine/workflow"
	"github.com/so8t/so8t/plugins"
	"github.com/so8t/so8t/plugins/host"
	"github.com/so8t/so8t/state"
)

// Describe says what a plugin is, by the name of a built-in stage or by ./path.
func (e *Engine) Describe(ctx context.Context, uses string) (plugins.Description, error) {
	p, err := e.named(ctx, "describing", uses)
	if err != nil {
		return plugins.Description{}, err
	}
	return p.description, nil
}

// PluginCommand says how a plugin is started.
func (e *Engine) PluginCommand(ctx context.Context, uses string) (host.Command, error) {
	p, err := e.named(ctx, "starting", uses)
	if err != nil {
		return host.Command{}, err
	}
	return p.command, nil
}

// named is plugin for a name that the user typed: an unknown one is ErrNoStage. It need not be as
// the lock pins it: its author looks at it before pinning it anew.
func (e *Engine) named(ctx context.Context, doing, uses string) (*pluginInfo, error) {
	p, err := e.plugin(ctx, uses, nil)
	if errors.Is(err, workflow.ErrUnknownPlugin) {
		return nil, fmt.Errorf("%w %q: built-in ones are named as in 'so8t plugins list', plugins of the project as ./path", ErrNoStage, uses)
	}
	if err != nil {
		return nil, fmt.Errorf("%s plugin %q: %w", doing, uses, err)
	}
	return p, nil
}

// LogFile is what one attempt printed.
type LogFile struct {
	Run, Instance string
	Attempt       int
	Path          string
}

// Logs lists the logs of a run: of one stage, or of every stage that has been tried, in order.
func (e *Engine) Logs(ctx context.Context, id, stage string, attempt int) ([]LogFile, error) {
	view, err := e.Status(ctx, id)
	if err != nil {
		return nil, err
	}
	var logs []LogFile
	for _, s := range view.Stages {
		if stage != "" && s.Instance != stage && s.Stage != stage {
			continue
		}
		if stage == "" && len(s.Attempts) == 0 {
			continue
		}
		path, err := e.LogPath(ctx, view.Run, s.Instance, attempt)
		if err != nil {
			return nil, err
		}
		number := attempt
		if number == 0 {
			number = len(s.Attempts)
		}
		logs = append(logs, LogFile{view.Run, s.Instance, number, path})
	}
	if stage != "" && logs == nil {
		return nil, fmt.Errorf("%w %q in run %s", ErrNoStage, stage, view.Run)
	}
	return logs, nil
}

// FreeDisk and FreeMemory say what is left, in bytes; 0 when the system does not tell.
func FreeDisk(dir string) int64 { return freeDisk(dir) }

// FreeMemory is what could be taken without swapping.
func FreeMemory() int64 { return freeMemory() }

// runs are the records of all runs, newest first.
func (e *Engine) runs(ctx context.Context) ([]state.Run, error) {
	var runs []state.Run
	err := e.store.View(ctx, func(tx *state.Tx) error {
		var err error
		runs, err = tx.Runs()
		return err
	})
	return runs, err
}
