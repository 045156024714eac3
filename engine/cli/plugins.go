package cli

import (
	"context"

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
	Path    string `json:"path"`            // "" for a built-in stage
	Error   string `json:"error,omitempty"` // why it cannot be used
	help    string
}

func (a *app) pluginsListCommand() *cobra.Command {
	var asJSON, describe bool
	c := &cobra.Command{
		Use:     "list",
		Example: "  so8t plugins list\n  so8t plugins list --json --describe > describe.json",
		Short:   "the built-in stages, and the local plugins that the project's workflows use",
		Args:    cobra.NoArgs,
		RunE: func(c *cobra.Command, _ []string) error {
			if describe {
				return a.printDescriptions()
			}
			views := a.builtinViews()
			local, err := a.localViews(c.Context())
			if err != nil {
				return err
			}
			views = append(views, local...)
			if asJSON {
				return a.printJSON(map[string]any{"plugins": views})
			}
			t := console.NewTable("NAME", "KIND", "WHAT IT DOES")
			for _, v := range views {
				t.Row(v.Name, v.Kind, v.help)
			}
			t.Write(a.Out, a.style(a.Out))
			return nil
		},
	}
	c.Flags().BoolVar(&asJSON, "json", false, "JSON on stdout")
	c.Flags().BoolVar(&describe, "describe", false, "with --json: what every stage describes, as `validate --describe` reads it")
	return c
}

func (a *app) builtinViews() []pluginView {
	version := readVersion().Version
	views := make([]pluginView, len(a.Stages))
	for i, b := range a.Stages {
		d := b.Stage.Describe()
		views[i] = pluginView{Name: d.Name, Version: version, Kind: string(d.Kind), help: d.Help}
	}
	return views
}

// localViews describes the plugins that the project's workflows use. One that cannot be started is
// listed with the reason.
func (a *app) localViews(ctx context.Context) ([]pluginView, error) {
	project, err := a.projectDir()
	if err != nil {
		return nil, err
	}
	uses, _, err := usedPlugins(project, nil) // validate says what is wrong with a workflow
	if err != nil || len(uses) == 0 {
		return nil, err
	}
	e, err := a.open(engineSettings{})
	if err != nil {
		return nil, err
	}
	defer func() { _ = e.Close() }()
	views := make([]pluginView, len(uses))
	for i, u := range uses {
		d, err := e.Describe(ctx, u)
		if err != nil {
			views[i] = pluginView{Name: u, Path: u, Error: err.Error(), help: "cannot be used: " + err.Error()}
			continue
		}
		views[i] = pluginView{Name: d.Name, Version: d.Version, Kind: string(d.Kind), Path: u, help: d.Help + " (" + u + ")"}
	}
	return views, nil
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
