package cli

import (
	"context"
	"errors"
	"os"
	"os/signal"
	"strings"

	"github.com/spf13/cobra"

	"github.com/so8t/so8t/engine"
	"github.com/so8t/so8t/plugins"
)

// modelCommand groups the tools on model files. They come with the stages that share their
// code; the command line knows only their names.
func (a *app) modelCommand() *cobra.Command {
	c := &cobra.Command{
		Use:   "model",
		Short: "tools on model files, between stages",
		Args:  cobra.NoArgs,
		RunE:  func(c *cobra.Command, _ []string) error { return c.Help() },
	}
	for _, tool := range a.Tools {
		c.AddCommand(&cobra.Command{
			Use:                tool.Name + " " + tool.Usage,
			Short:              tool.Help,
			DisableFlagParsing: true, // the tool reads its own flags
			RunE: func(c *cobra.Command, args []string) error {
				ctx, stop := signal.NotifyContext(c.Context(), os.Interrupt)
				defer stop()
				context.AfterFunc(ctx, stop) // a second Ctrl-C ends what does not look at ctx
				return toolError(tool.Run(ctx, withoutDir(args), a.Streams))
			},
		})
	}
	return c
}

// withoutDir drops a --dir before the command's name, which cobra hands on: tools take paths
// from where they are called.
func withoutDir(args []string) []string {
	for len(args) > 0 && (args[0] == "--dir" || strings.HasPrefix(args[0], "--dir=")) {
		n := 1
		if args[0] == "--dir" {
			n = min(2, len(args))
		}
		args = args[n:]
	}
	return args
}

// toolError gives an error of a tool the class that chooses the exit code: a tool's wrong usage
// and what the user gave it are the command line's as well.
func toolError(err error) error {
	var wrong interface{ Usage() bool }
	if errors.As(err, &wrong) && wrong.Usage() {
		return usageError{err}
	}
	if err == nil {
		return nil
	}
	switch plugins.CodeOf(err) {
	case plugins.BadInput:
		return codedError{err, exitUsage}
	case plugins.Cancelled:
		return quietError{signalExit[engine.SIGINT]}
	case plugins.Unavailable, plugins.OutOfDisk, plugins.OutOfMemory:
		return codedError{err, exitResource}
	}
	return err
}

// codedError is an error whose exit code is known where it is met.
type codedError struct {
	error
	code int
}

func (e codedError) Unwrap() error { return e.error }
