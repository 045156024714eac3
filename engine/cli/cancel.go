package cli

import (
	"context"
	"fmt"
	"strings"
	"time"

	"github.com/spf13/cobra"
)

func (a *app) cancelCommand() *cobra.Command {
	var timeout time.Duration
	c := &cobra.Command{
		Use:     "cancel [RUN]",
		Example: "  so8t cancel\n  so8t cancel 20260102-0304",
		Short:   "ask the engine that holds a run to stop it gracefully",
		Long: strings.TrimSpace(`
Asks the engine that works on a run (the newest, or the named one) to end it: its stages write a
checkpoint and stop, the run is cancelled, and the engine's exit code is 130. It waits until that is
so. 'so8t resume' passes over a cancelled run; 'so8t resume RUN' goes on with it.`),
		Args: cobra.MaximumNArgs(1),
		RunE: func(c *cobra.Command, args []string) error {
			if timeout <= 0 {
				return usageError{fmt.Errorf("--timeout %s: give a time above 0", timeout)}
			}
			ctx, cancel := context.WithTimeout(c.Context(), timeout)
			defer cancel()
			e, err := a.open(engineSettings{})
			if err != nil {
				return err
			}
			defer func() { _ = e.Close() }()
			run, ended, err := e.Cancel(ctx, first(args))
			if err != nil {
				return err
			}
			fmt.Fprintf(a.Err, "run %s %s\n", run, ended)
			return nil
		},
	}
	c.Flags().DurationVar(&timeout, "timeout", 2*time.Minute, "how long to wait for the end")
	return c
}
