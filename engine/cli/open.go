package cli

import (
	"context"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"

	"github.com/spf13/cobra"

	"github.com/so8t/so8t/engine"
)

func (a *app) openCommand() *cobra.Command {
	return &cobra.Command{
		Use:   "open [RUN]",
		Short: "open the HTML report of a run",
		Long: `Opens the newest HTML page among the outputs of a run in your browser. Where there is no
display, or standard output is no terminal, its path is printed instead.`,
		Example: "  so8t open\n  scp \"$(so8t open latest | cat)\" laptop:",
		Args:    cobra.MaximumNArgs(1),
		RunE: func(c *cobra.Command, args []string) error {
			return a.inspect(c.Context(), first(args), func(e *engine.Engine, run string) error {
				return a.openReport(c.Context(), e, run)
			})
		},
	}
}

func (a *app) openReport(ctx context.Context, e *engine.Engine, run string) error {
	view, err := e.Artifacts(ctx, run)
	if err != nil {
		return err
	}
	page := ""
	for _, o := range view.Artifacts {
		if o.MediaType == "text/html" && !o.Volatile { // what differs every time is beside the report
			page = o.Path // a later stage knows more
		}
	}
	if page == "" {
		return codedError{fmt.Errorf("run %s has no HTML page among its outputs: so8t artifacts %s lists them", run, run), exitUsage}
	}
	project, err := a.projectDir()
	if err != nil {
		return err
	}
	if !filepath.IsAbs(page) {
		page = filepath.Join(project, filepath.FromSlash(page))
	}
	if _, err := os.Stat(page); err != nil {
		return fmt.Errorf("opening the report: %w", err)
	}
	fmt.Fprintln(a.Out, page)
	if _, terminal := terminalSize(a.Out); !terminal {
		return nil
	}
	viewer := browser(context.WithoutCancel(ctx), page) // it outlives us
	if viewer == nil {
		return nil
	}
	if err := viewer.Start(); err != nil {
		fmt.Fprintf(a.Err, "so8t: no browser could be started (%v): open the file yourself\n", err)
		return nil
	}
	return viewer.Process.Release()
}

// browser is the program that opens a file as a click on it would, or nil where nothing can be
// shown.
func browser(ctx context.Context, page string) *exec.Cmd {
	switch runtime.GOOS {
	case "darwin":
		return exec.CommandContext(ctx, "open", page)
	case "windows":
		return exec.CommandContext(ctx, "rundll32", "url.dll,FileProtocolHandler", page)
	}
	if os.Getenv("DISPLAY") == "" && os.Getenv("WAYLAND_DISPLAY") == "" {
		return nil
	}
	return exec.CommandContext(ctx, "xdg-open", page)
}
