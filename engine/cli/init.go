package cli

import (
	"bytes"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"github.com/spf13/cobra"
)

// schemaFile is what the editor reads of a workflow that init wrote; it lies beside it.
const schemaFile = "so8t.schema.json"

// defaultTemplate is what init writes when nothing else is asked for.
const defaultTemplate = "quickstart"

func (a *app) initCommand() *cobra.Command {
	var template string
	var build bool
	c := &cobra.Command{
		Use:   "init [DIR]",
		Short: "write a commented workflow to start from",
		Long: strings.TrimSpace(`
Writes so8t.yaml into DIR (the current directory without one), which is made when it is not there,
and beside it the JSON Schema that editors complete from. What is there already is never
overwritten.

A template evaluator-go or evaluator-python is a custom evaluator in a folder DIR of its own: a plugin
that a workflow uses as ./DIR. With --build it is made ready as well, by the Go command or with a
virtual environment.`),
		Example: strings.Trim(`
  so8t init demo && cd demo && so8t run
  so8t init --template minimal
  so8t init phi4 --template phi4-so8t-ja
  so8t init evaluators/politeness --template evaluator-python --build`, "\n"),
		Args: cobra.MaximumNArgs(1),
		RunE: func(c *cobra.Command, args []string) error {
			if _, evaluator := evaluatorTemplates[template]; evaluator && slices.Contains(a.templates(), template) {
				return a.initEvaluator(c.Context(), first(args), template, build)
			}
			if build {
				return usageError{fmt.Errorf("--build: a workflow is not built; the templates %s are", strings.Join(sortedKeys(evaluatorTemplates), " and "))}
			}
			return a.init(first(args), template)
		},
	}
	c.Flags().StringVar(&template, "template", defaultTemplate, "`name` of what to write: "+strings.Join(a.templates(), ", "))
	c.Flags().BoolVar(&build, "build", false, "make an evaluator ready to use: go build, or a virtual environment with what it requires")
	return c
}

// templates are the names of the shipped workflows, then of the evaluators.
func (a *app) templates() []string {
	var names []string
	if a.Workflows != nil {
		files, _ := fs.Glob(a.Workflows, "*.yaml") // the pattern is good
		for _, file := range files {
			names = append(names, strings.TrimSuffix(file, ".yaml"))
		}
	}
	if a.Examples != nil {
		names = append(names, sortedKeys(evaluatorTemplates)...)
	}
	return names
}

func (a *app) init(dir, template string) error {
	if !slices.Contains(a.templates(), template) {
		return usageError{fmt.Errorf("--template %q: give one of %s", template, strings.Join(a.templates(), ", "))}
	}
	text, err := fs.ReadFile(a.Workflows, template+".yaml")
	if err != nil {
		return fmt.Errorf("reading template %q: %w", template, err)
	}
	schema, err := a.languageSchema()
	if err != nil {
		return err
	}
	at := dir
	if at == "" {
		at = "."
	}
	if err := os.MkdirAll(at, 0o777); err != nil {
		return usageError{fmt.Errorf("making folder %q: %w", at, err)}
	}
	path := filepath.Join(at, defaultWorkflow)
	if err := writeNew(path, ownTemplate(template, text)); err != nil {
		return err
	}
	fmt.Fprintf(a.Err, "wrote %s\n", path)
	switch err := writeNew(filepath.Join(at, schemaFile), schema); {
	case errors.As(err, new(alreadyThereError)): // of an earlier init; it may be another version's, and is the user's
	case err != nil:
		return err
	default:
		fmt.Fprintf(a.Err, "wrote %s, for your editor\n", filepath.Join(at, schemaFile))
	}
	a.nextCommands(dir)
	return nil
}

func (a *app) nextCommands(dir string) {
	fmt.Fprintln(a.Err, "next:")
	if dir != "" && filepath.Clean(dir) != "." {
		fmt.Fprintf(a.Err, "  cd %s\n", quoted(dir))
	}
	fmt.Fprint(a.Err, strings.TrimLeft(`
  so8t plan      what would run, and why
  so8t run       runs it; what is done is reused the next time
  so8t status    how the run stands
`, "\n"))
}

// quoted makes a folder one word of the shell.
func quoted(dir string) string {
	if !strings.ContainsAny(dir, " \t'\"\\$&;()<>|*?#~`!") {
		return dir
	}
	return "'" + strings.ReplaceAll(dir, "'", `'\''`) + "'"
}

// ownTemplate makes a shipped workflow the project's own: the commands in its comments need not
// name it, and the schema lies beside it.
func ownTemplate(name string, text []byte) []byte {
	text = bytes.ReplaceAll(text, []byte(" workflows/"+name+".yaml"), nil)
	return bytes.Replace(text, []byte("$schema=schema.json"), []byte("$schema="+schemaFile), 1)
}

// alreadyThereError: init does not touch what is there.
type alreadyThereError struct{ path string }

func (e alreadyThereError) Error() string {
	return fmt.Sprintf("%s is there already, and init overwrites nothing: give another folder", e.path)
}

func writeNew(path string, text []byte) error {
	f, err := os.OpenFile(path, os.O_WRONLY|os.O_CREATE|os.O_EXCL, 0o666)
	if errors.Is(err, fs.ErrExist) {
		return codedError{alreadyThereError{path}, exitUsage}
	}
	if err != nil {
		return usageError{fmt.Errorf("writing %q: %w", path, err)}
	}
	_, err = f.Write(text)
	return errors.Join(err, f.Close())
}
