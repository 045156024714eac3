// Package cli is the command line: the only place that prints or chooses an exit code. Each
// command is one file; what they do is engine's, how it looks is console's.
package cli

import (
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"runtime/debug"
	"strings"

	"github.com/spf13/cobra"

	"github.com/so8t/so8t/plugins"
)

// Program is what main knows and the command line does not: the path of this binary, the
// built-in stages and the tools on model files that come with them.
type Program struct {
	// Self is how this binary is started again; on Linux /proc/self/exe, so that an upgrade
	// in the middle of a run does no harm.
	Self   string
	Stages []plugins.Builtin
	Tools  []Tool
	Probes []Probe // what `doctor` looks for on behalf of the stages
	// Workflows are the shipped workflows, NAME.yaml at the top: the templates of init.
	Workflows fs.FS
	// Examples are the folders of the example plugins that init copies.
	Examples fs.FS
	// GPUs lists the ids of the machine's GPUs; nil = none.
	GPUs func() []string
	// Releasers remove what stages left outside of a project, for gc.
	Releasers map[string]plugins.Releaser
}

// Tool is a command below `so8t model`. Run gets the arguments after its name.
type Tool struct {
	Name, Usage, Help string
	Run               func(ctx context.Context, args []string, streams Streams) error
}

// Streams are where a command reads and writes.
type Streams struct {
	In       io.Reader
	Out, Err io.Writer
}

// app is what every command shares.
type app struct {
	Program
	Streams
	dir string // --dir
	// commandLine is what the user typed, for those who meet a run that is held.
	commandLine string
}

// Main runs one command and returns its exit code.
func Main(args []string, program Program, streams Streams) (code int) {
	a := &app{Program: program, Streams: streams, commandLine: strings.Join(append([]string{"so8t"}, args...), " ")}
	if code, served := a.hidden(args); served {
		return code
	}
	defer a.reportBug(&code)
	// An engine keeps little and lives long: collecting at half the usual growth costs little time
	// and leaves the memory to the stages, which are processes of their own.
	debug.SetGCPercent(50)
	root := a.root()
	root.SetArgs(args)
	err := root.ExecuteContext(context.Background())
	return a.exit(err)
}

func (a *app) root() *cobra.Command {
	root := &cobra.Command{
		Use:   "so8t",
		Short: "workflows that take a language model from data to a measured, served model",
		Long: strings.TrimSpace(`
so8t runs a workflow: a YAML file whose stages form a graph. Every stage runs in a process of
its own, what is done is reused, and a run that was killed goes on where it was.

  so8t init demo                        writes a workflow to start from
  so8t run workflows/quickstart.yaml    the whole pipeline, on the CPU, in minutes
  so8t status                           how the newest run stands
  so8t plan my.yaml                     what would run, and why
  so8t rerun latest train --with lora.r=32 --downstream
  so8t explain train                    why a stage ran, was reused, failed or was blocked
  so8t diff RUN latest                  what differs between two runs`),
		SilenceErrors: true,
		SilenceUsage:  true,
		Args:          cobra.ArbitraryArgs,
		// How far off a name may be and still be meant.
		SuggestionsMinimumDistance: 2,
		RunE: func(c *cobra.Command, args []string) error {
			if len(args) == 0 {
				return c.Help()
			}
			return unknownCommand(c, args[0])
		},
	}
	root.SetIn(a.In)
	root.SetOut(a.Out)
	root.SetErr(a.Err)
	root.PersistentFlags().StringVar(&a.dir, "dir", "", "project directory (default: SO8T_DIR, else the nearest folder with so8t.yaml or .so8t)")
	root.SetFlagErrorFunc(func(_ *cobra.Command, err error) error { return usageError{err} })
	root.AddCommand(
		a.initCommand(), a.validateCommand(), a.planCommand(), a.runCommand(), a.resumeCommand(), a.rerunCommand(),
		a.runsCommand(), a.statusCommand(), a.logsCommand(), a.explainCommand(), a.artifactsCommand(), a.diffCommand(), a.openCommand(),
		a.metricsCommand(), a.graphCommand(), a.checkCommand(), a.pluginsCommand(), a.schemaCommand(),
		a.cancelCommand(), a.exportCommand(), a.importCommand(), a.gcCommand(), a.pinCommand(), a.doctorCommand(), a.versionCommand(), a.modelCommand(),
	)
	for _, c := range root.Commands() {
		inheritArgs(c)
	}
	a.addCompletions(root)
	return root
}

func unknownCommand(root *cobra.Command, name string) error {
	hint := ""
	if near := root.SuggestionsFor(name); len(near) > 0 {
		hint = fmt.Sprintf("; did you mean %q?", near[0])
	}
	return usageError{fmt.Errorf("unknown command %q%s", name, hint)}
}

// inheritArgs makes a wrong number of arguments a usage error, as a wrong flag is.
func inheritArgs(c *cobra.Command) {
	if check := c.Args; check != nil {
		c.Args = func(c *cobra.Command, args []string) error {
			if err := check(c, args); err != nil {
				return usageError{argsError(c, err)}
			}
			return nil
		}
	}
	for _, sub := range c.Commands() {
		inheritArgs(sub)
	}
}

// argsError says what a command takes, where cobra only counts.
func argsError(c *cobra.Command, err error) error {
	if c.HasSubCommands() {
		return err
	}
	return fmt.Errorf("wrong number of arguments: %s", strings.TrimSuffix(c.UseLine(), " [flags]"))
}

// usageError is a command line that cannot be understood.
type usageError struct{ error }

func (e usageError) Unwrap() error { return e.error }

// quietError carries an exit code for something that was already said.
type quietError struct{ code int }

func (e quietError) Error() string { return "" }

func isQuiet(err error) (int, bool) {
	var q quietError
	ok := errors.As(err, &q)
	return q.code, ok
}
