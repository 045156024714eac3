package cli

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"time"

	"github.com/spf13/cobra"

	"github.com/so8t/so8t/engine"
)

// followEvery is how often `logs --follow` looks for more.
const followEvery = 200 * time.Millisecond

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
	c.Flags().BoolVar(&f.follow, "follow", false, "go on showing what comes until the stage ends")
	return c
}

func (a *app) logs(ctx context.Context, e *engine.Engine, f logFlags, stage string) error {
	logs, err := e.Logs(ctx, f.run, stage, f.attempt)
	if err != nil {
		return err
	}
	for _, log := range logs {
		if len(logs) > 1 {
			fmt.Fprintf(a.Out, "==> %s, attempt %d <==\n", log.Instance, log.Attempt)
		}
		if err := a.printLog(ctx, e, log, f); err != nil {
			return err
		}
	}
	return nil
}

// printLog copies a log to stdout. Following, it goes on with what is added, and with the next
// attempt, until the stage has ended; a stage that waits is waited for.
func (a *app) printLog(ctx context.Context, e *engine.Engine, log engine.LogFile, f logFlags) error {
	tick := time.NewTicker(followEvery)
	defer tick.Stop()
	var file *os.File
	defer func() { _ = file.Close() }() // a nil file closes too
	for {
		running := f.follow && e.AttemptRunning(ctx, log)
		if file == nil {
			opened, err := openLog(log.Path, f.tail)
			if err != nil {
				return err
			}
			file = opened
		}
		if file != nil {
			if _, err := io.Copy(a.Out, file); err != nil {
				return fmt.Errorf("copying log %q: %w", log.Path, err)
			}
		}
		if !running {
			return nil
		}
		select {
		case <-ctx.Done():
			return ctx.Err()
		case <-tick.C:
		}
		if next, err := e.Logs(ctx, log.Run, log.Instance, f.attempt); err == nil && len(next) == 1 && next[0].Path != log.Path {
			_ = file.Close()
			log, file = next[0], nil
		}
	}
}

// openLog opens a log at its last lines; nil when the attempt has printed nothing yet.
func openLog(path string, tail int) (*os.File, error) {
	file, err := os.Open(path)
	if errors.Is(err, os.ErrNotExist) {
		return nil, nil
	}
	if err != nil {
		return nil, fmt.Errorf("opening log %q: %w", path, err)
	}
	if tail >= 0 {
		if err := seekLines(file, tail); err != nil {
			_ = file.Close()
			return nil, fmt.Errorf("reading log %q: %w", path, err)
		}
	}
	return file, nil
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
