package engine

import (
	"bytes"
	"context"
	"fmt"
	"os"
	"path/filepath"

	"github.com/so8t/so8t/plugins"
	"github.com/so8t/so8t/plugins/host"
)

// hookLogLimit bounds what one hook writes into its log, in bytes.
const hookLogLimit = 1 << 20

// command runs a hook's text in the shell: in the project directory, with the engine's own
// environment and variables that say which run it was, and with the summary as its input.
func (end *ending) command(ctx context.Context, h hookRecord, summary []byte) error {
	log, err := end.openLog(h)
	if err != nil {
		return fmt.Errorf("opening its log: %w", err)
	}
	defer log.Close()
	c := plugins.Shell(ctx, h.Run)
	ownGroup(c.Cmd)
	out := host.Redacting(log, end.secrets, hookLogLimit)
	c.Stdout, c.Stderr, c.Stdin = out, out, bytes.NewReader(summary)
	c.Dir = end.e.opts.ProjectDir
	c.Env = append(os.Environ(),
		"SO8T_EVENT="+h.Event, "SO8T_RUN="+end.run.ID, "SO8T_WORKFLOW="+end.run.Workflow,
		"SO8T_STATE_OF_RUN="+string(end.run.State), "SO8T_DIR="+end.e.opts.ProjectDir)
	err = c.Run()
	if closeErr := out.Close(); err == nil {
		err = closeErr
	}
	if err != nil {
		return fmt.Errorf("%w; what it printed is in %s", err, end.e.relative(filepath.Clean(log.Name())))
	}
	return nil
}
