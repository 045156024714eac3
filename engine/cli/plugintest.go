package cli

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"github.com/spf13/cobra"

	"github.com/so8t/so8t/engine"
	"github.com/so8t/so8t/engine/workflow"
	"github.com/so8t/so8t/plugins"
	"github.com/so8t/so8t/plugins/plugintest"
)

func (a *app) pluginsTestCommand() *cobra.Command {
	var asJSON bool
	var with []string
	c := &cobra.Command{
		Use:   "test NAME|PATH",
		Short: "run the conformance suite on a plugin",
		Long: `Starts the plugin as a run does and looks whether it keeps the contract: what it describes, how it
fails, stops and dies, what it prints, writes and leaves behind, whether it goes on from a checkpoint
to the same outputs. It works in a temporary folder, on inputs that the suite makes up; give it
parameters with --with where it needs others.`,
		Example: "  so8t plugins test ./evaluators/politeness\n  so8t plugins test base --with corpus=corpus.txt --with steps=20",
		Args:    cobra.ExactArgs(1),
		RunE: func(c *cobra.Command, args []string) error {
			e, err := a.open(engineSettings{})
			if err != nil {
				return err
			}
			results, err := testPlugin(c.Context(), e, args[0], with)
			if err != nil {
				return err
			}
			if asJSON {
				if err := a.printJSON(map[string]any{"results": testViews(results)}); err != nil {
					return err
				}
			}
			failed := 0
			for _, r := range results {
				if !r.OK {
					failed++
				}
				if !asJSON {
					a.printTestResult(r)
				}
			}
			if failed > 0 {
				return quietError{exitFailed}
			}
			return nil
		},
	}
	c.Flags().BoolVar(&asJSON, "json", false, "JSON on stdout")
	c.Flags().StringArrayVar(&with, "with", nil, "parameter of a run that should succeed, `field=value`; repeatable")
	return c
}

// testPlugin runs the suite. A plugin that does not start has failed its first test.
func testPlugin(ctx context.Context, e *engine.Engine, uses string, with []string) ([]plugintest.Result, error) {
	command, err := e.PluginCommand(ctx, uses)
	var refused *plugins.Error
	if errors.As(err, &refused) {
		return []plugintest.Result{{Name: "start", Message: refused.Error()}}, nil
	}
	if err != nil {
		return nil, err
	}
	var opts []plugintest.Option
	if len(with) > 0 {
		parameters, err := testParameters(ctx, e, uses, with)
		if err != nil {
			return nil, err
		}
		opts = append(opts, plugintest.With(parameters))
	}
	workdir, err := os.MkdirTemp("", "so8t-plugin-test-")
	if err != nil {
		return nil, fmt.Errorf("making a folder for the tests: %w", err)
	}
	defer func() { _ = os.RemoveAll(workdir) }()
	return plugintest.Run(ctx, command, workdir, opts...), nil
}

// testParameters reads `field=value` by the plugin's schema. Paths are relative to the current
// directory.
func testParameters(ctx context.Context, e *engine.Engine, uses string, with []string) (map[string]any, error) {
	d, err := e.Describe(ctx, uses)
	if err != nil {
		return nil, err
	}
	fields, err := workflow.SchemaFields(d.With)
	if err != nil {
		return nil, fmt.Errorf("reading the schema of %q: %w", d.Name, err)
	}
	values := map[string]string{}
	for _, w := range with {
		name, value, found := strings.Cut(w, "=")
		if !found || name == "" {
			return nil, usageError{fmt.Errorf("--with %q: write it as field=value", w)}
		}
		if isPath(fields, name) {
			if value, err = filepath.Abs(value); err != nil {
				return nil, err
			}
		}
		values[name] = value
	}
	v, err := workflow.Override(d.With, &workflow.Value{Kind: workflow.Map}, values)
	if err != nil {
		return nil, err
	}
	parameters, _ := workflow.Resolve(v, nil).(map[string]any) // a map without references
	return parameters, nil
}

func isPath(fields []workflow.SchemaField, name string) bool {
	under, _, nested := strings.Cut(name, ".")
	return slices.ContainsFunc(fields, func(f workflow.SchemaField) bool {
		return f.Format == "path" && (f.Path == name || nested && f.Path == under+".*")
	})
}

func (a *app) printTestResult(r plugintest.Result) {
	mark := "ok  "
	if !r.OK {
		mark = "FAIL"
	}
	fmt.Fprintf(a.Out, "%s %s", mark, r.Name)
	if r.Message != "" {
		fmt.Fprintf(a.Out, ": %s", strings.ReplaceAll(r.Message, "\n", "\n     "))
	}
	fmt.Fprintln(a.Out)
}

type testView struct {
	Name    string `json:"name"`
	OK      bool   `json:"ok"`
	Message string `json:"message"`
}

func testViews(results []plugintest.Result) []testView {
	views := make([]testView, len(results))
	for i, r := range results {
		views[i] = testView(r)
	}
	return views
}
