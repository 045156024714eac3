package cli

import (
	"context"
	"fmt"
	"io"

	"github.com/spf13/cobra"

	"github.com/so8t/so8t/engine"
	"github.com/so8t/so8t/engine/internal/console"
)

type logFlags struct {
	run     string
	attempt int
	tail    int
	follow  bool
}

func (a *app) logsCommand() *cobra.Command {
	f := logFlags{tail: -1}
	c := &cobra.Command{
		Use:     "logs [STAGE]",
		Short:   "what a stage printed; without a stage, of every stage that ran",
		Example: "  so8t logs train --follow\n  so8t logs --run 20260102 'train[r=8]' --attempt 1 --tail 20",
		Args:    cobra.MaximumNArgs(1),
		RunE: func(c *cobra.Command, args []string) error {
			return a.inspect(c.Context(), f.run, func(e *engine.Engine, run string) error {
				f.run = run
				return a.logs(c.Context(), e, f, first(args))
			})
		},
	}
	c.Flags().StringVar(&f.run, "run", "", "the run (default: the newest)")
	c.Flags().IntVar(&f.attempt, "attempt", 0, "which attempt (default: the last)")
	c.Flags().IntVar(&f.tail, "tail", -1, "only the last `N` lines")
	c.Flags().BoolVar(&f.follow, "follow", false, "go on showing what comes, attempt after attempt, until the stage or the run ends")
	return c
}

func (a *app) logs(ctx context.Context, e *engine.Engine, f logFlags, stage string) error {
	if f.follow {
		return a.follow(ctx, e, f, stage)
	}
	logs, err := e.Logs(ctx, f.run, stage, f.attempt)
	if err != nil {
		return err
	}
	out := a.logOut()
	for _, log := range logs {
		if len(logs) > 1 {
			fmt.Fprintf(out, "==> %s, attempt %d <==\n", log.Instance, log.Attempt)
		}
		if err := printLog(out, log, f.tail); err != nil {
			return err
		}
	}
	return nil
}

// logOut is where logs go: what a program prints must not act on a terminal.
func (a *app) logOut() io.Writer {
	if _, terminal := terminalSize(a.Out); terminal {
		return console.NewColourFilter(a.Out)
	}
	return a.Out
}

// printLog copies a log.
func printLog(out io.Writer, log engine.LogFile, tail int) error {
	file, err := openLog(log.Path, tail)
	if err != nil || file == nil {
		return err
	}
	defer file.Close()
	if _, err := io.Copy(out, file); err != nil {
		return fmt.Errorf("copying log %q: %w", log.Path, err)
	}
	return nil
}

// seekLines moves to the start of the last n lines, reading backwards in blocks.
func seekLines(f io.ReadSeeker, n int) error {
	end, err := f.Seek(0, io.SeekEnd)
	if err != nil {
		return err
	}
	const block = 64 << 10
	buffer := make([]byte, block)
	breaks := 0
	for at := end; at > 0; {
		size := min(at, block)
		at -= size
		if _, err := f.Seek(at, io.SeekStart); err != nil {
			return err
		}
		if _, err := io.ReadFull(f, buffer[:size]); err != nil {
			return err
		}
		for i := size - 1; i >= 0; i-- {
			// The break that ends the last line starts no line.
			if buffer[i] != '\n' || at+i == end-1 {
				continue
			}
			if breaks++; breaks == n {
				_, err := f.Seek(at+i+1, io.SeekStart)
				return err
			}
		}
	}
	if n == 0 {
		_, err = f.Seek(end, io.SeekStart)
		return err
	}
	_, err = f.Seek(0, io.SeekStart)
	return err
}
