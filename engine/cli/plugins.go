package cli

import (
	"github.com/spf13/cobra"

	"github.com/so8t/so8t/engine"
	"github.com/so8t/so8t/engine/internal/console"
	"github.com/so8t/so8t/engine/workflow"
	"github.com/so8t/so8t/plugins"
)

func (a *app) pluginsCommand() *cobra.Command {
	c := &cobra.Command{
		Use:   "plugins",
		Short: "built-in and local plugins: list, describe, test, lock",
		Args:  cobra.NoArgs,
		RunE:  func(c *cobra.Command, _ []string) error { return c.Help() },
	}
	c.AddCommand(a.pluginsListCommand(), a.pluginsDescribeCommand(), a.pluginsTestCommand(), a.pluginsLockCommand())
	return c
}

type pluginView struct {
	Name    string `json:"name"`
	Version string `json:"version"`
	Kind    string `json:"kind"`
	Path    string `json:"path"`
}

func (a *app) pluginsListCommand() *cobra.Command {
	var asJSON, describe bool
	c := &cobra.Command{
		Use:     "list",
		Example: "  so8t plugins list\n  so8t plugins list --json --describe > describe.json",
		Short:   "the built-in stages",
		Args:    cobra.NoArgs,
		RunE: func(*cobra.Command, []string) error {
			if describe {
				return a.printDescriptions()
			}
			version := readVersion().Version
			views := make([]pluginView, 0, len(a.Stages))
			t := console.NewTable("NAME", "KIND", "WHAT IT DOES")
			for _, b := range a.Stages {
				d := b.Stage.Describe()
				views = append(views, pluginView{Name: d.Name, Version: version, Kind: string(d.Kind)})
				t.Row(d.Name, string(d.Kind), d.Help)
			}
			if asJSON {
				return a.printJSON(map[string]any{"plugins": views})
			}
			t.Write(a.Out, a.style(a.Out))
			return nil
		},
	}
	c.Flags().BoolVar(&asJSON, "json", false, "JSON on stdout")
	c.Flags().BoolVar(&describe, "describe", false, "with --json: what every stage describes, as `validate --describe` reads it")
	return c
}

// printDescriptions writes the file that `validate --describe` reads.
func (a *app) printDescriptions() error {
	specs := map[string]*workflow.PluginSpec{}
	for _, b := range a.Stages {
		spec := engine.Spec(b.Stage.Describe())
		spec.ReportsMetrics = true // the file says of each what it lists, be it nothing
		specs[b.Name] = spec
	}
	text, err := workflow.EncodeDescriptions(specs)
	if err != nil {
		return err
	}
	_, err = a.Out.Write(text)
	return err
}

func (a *app) pluginsDescribeCommand() *cobra.Command {
	var asJSON bool
	c := &cobra.Command{
		Use:     "describe NAME|PATH",
		Short:   "what a plugin says of itself: parameters, outputs, metrics",
		Example: "  so8t plugins describe train\n  so8t plugins describe ./evaluators/politeness",
		Args:    cobra.ExactArgs(1),
		RunE: func(c *cobra.Command, args []string) error {
			e, err := a.open(engineSettings{})
			if err != nil {
				return err
			}
			d, err := e.Describe(c.Context(), args[0])
			if err != nil {
				return err
			}
			if asJSON {
				return a.printJSON(descriptionView(d))
			}
			return a.printDescription(d)
		},
	}
	c.Flags().BoolVar(&asJSON, "json", false, "JSON on stdout")
	return c
}

func descriptionView(d plugins.Description) map[string]any {
	outputs := []map[string]any{}
	for _, o := range d.Outputs {
		outputs = append(outputs, map[string]any{"name": o.Name, "media_type": o.MediaType, "help": o.Help, "required": !o.Optional, "volatile": o.Volatile})
	}
	metrics := []map[string]any{}
	for _, m := range d.Metrics {
		metrics = append(metrics, map[string]any{"name": m.Name, "help": m.Help, "better": m.Better})
	}
	return map[string]any{
		"name": d.Name, "version": d.Version, "kind": string(d.Kind), "help": d.Help, "checkpoints": d.Checkpoints,
		"with": d.With, "outputs": outputs, "metrics": metrics,
	}
}
