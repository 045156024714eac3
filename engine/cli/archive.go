package cli

import (
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"strings"

	"github.com/spf13/cobra"

	"github.com/so8t/so8t/engine"
	"github.com/so8t/so8t/engine/internal/console"
)

// exportFlags say what goes into an archive, and where it goes.
type exportFlags struct {
	output      string
	noArtifacts bool
}

func (a *app) exportCommand() *cobra.Command {
	var f exportFlags
	c := &cobra.Command{
		Use:   "export [RUN]",
		Short: "write a run as one archive: records, events, logs, curves, artifacts",
		Long: strings.TrimSpace(`
Writes a run as one file, which 'so8t import' adds to another project: its records, events, logs,
curves and artifacts, also those that it reuses from other runs. Checkpoints stay here. The name's
end says whether it is compressed: .tar, .tar.gz or .tgz; - is stdout, compressed.`),
		Example: "  so8t export latest -o run.tar.gz\n  so8t export --no-artifacts -o - | ssh elsewhere so8t import -",
		Args:    cobra.MaximumNArgs(1),
		RunE: func(c *cobra.Command, args []string) error {
			return a.inspect(c.Context(), first(args), func(e *engine.Engine, run string) error {
				return a.export(c.Context(), e, run, f)
			})
		},
	}
	c.Flags().StringVarP(&f.output, "output", "o", "", "`file` to write (default: RUN.tar.gz)")
	c.Flags().BoolVar(&f.noArtifacts, "no-artifacts", false, "leave the outputs of the stages out")
	return c
}

func (a *app) export(ctx context.Context, e *engine.Engine, run string, f exportFlags) error {
	opts := engine.ExportOptions{Artifacts: !f.noArtifacts, Gzip: true}
	if f.output == "-" {
		return e.Export(ctx, run, a.Out, opts)
	}
	name := f.output
	switch {
	case name == "":
		name = run + ".tar.gz"
	case strings.HasSuffix(name, ".tar"):
		opts.Gzip = false
	case !strings.HasSuffix(name, ".tar.gz") && !strings.HasSuffix(name, ".tgz"):
		return usageError{fmt.Errorf("--output %q: give a name that ends with .tar, .tar.gz or .tgz", name)}
	}
	if _, err := os.Lstat(name); !errors.Is(err, fs.ErrNotExist) {
		return usageError{fmt.Errorf("--output %q: there is such a file already", name)}
	}
	size, err := writeWhole(name, func(to io.Writer) error { return e.Export(ctx, run, to, opts) })
	if err != nil {
		return err
	}
	fmt.Fprintf(a.Err, "run %s: %s, %s\n", run, name, console.Bytes(size))
	return nil
}

// writeWhole writes a file that has its name only when it is complete.
func writeWhole(name string, write func(io.Writer) error) (size int64, err error) {
	temp := name + ".tmp"
	f, err := os.Create(temp)
	if err != nil {
		return 0, usageError{fmt.Errorf("writing %q: %w", name, err)}
	}
	defer func() {
		if err != nil {
			err = errors.Join(err, os.Remove(temp))
		}
	}()
	err = write(f)
	if err == nil {
		err = f.Sync()
	}
	if info, statErr := f.Stat(); statErr == nil {
		size = info.Size()
	}
	if closeErr := f.Close(); err == nil {
		err = closeErr
	}
	if err != nil {
		return 0, err
	}
	return size, os.Rename(temp, name)
}

func (a *app) importCommand() *cobra.Command {
	c := &cobra.Command{
		Use:     "import FILE",
		Example: "  so8t import run.tar.gz",
		Short:   "add a run from an archive that export wrote",
		Long: strings.TrimSpace(`
Adds the run in an archive to this project, under its own id; - is stdin. Every file is compared with
the digest that it was exported with. Later runs reuse the run's artifacts as if it had run here.`),
		Args: cobra.ExactArgs(1),
		RunE: func(c *cobra.Command, args []string) error {
			from := a.In
			if args[0] != "-" {
				f, err := os.Open(args[0])
				if err != nil {
					return usageError{fmt.Errorf("importing a run: %w", err)}
				}
				defer f.Close()
				from = f
			}
			e, err := a.open(engineSettings{})
			if err != nil {
				return err
			}
			defer func() { _ = e.Close() }()
			run, err := e.Import(c.Context(), from)
			if err != nil {
				return err
			}
			fmt.Fprintf(a.Err, "run %s imported\n", run)
			return nil
		},
	}
	return c
}
