package cli

import (
	"context"
	"fmt"
	"strings"

	"github.com/spf13/cobra"

	"github.com/so8t/so8t/engine"
)

func (a *app) resumeCommand() *cobra.Command {
	var f runFlags
	var accept bool
	c := &cobra.Command{
		Use:   "resume [RUN]",
		Short: "go on with the newest (or named) interrupted or failed run, under its id",
		Long: strings.TrimSpace(`
Goes on with a run that was interrupted, killed or failed. Stages that are done stay done, an
interrupted one goes on from its newest checkpoint. When the workflow or a plugin has changed
meanwhile, resume says what and wants --accept-changes.`),
		Example: "  so8t resume\n  so8t resume 20260102-0304 --accept-changes",
		Args:    cobra.MaximumNArgs(1),
		RunE: func(c *cobra.Command, args []string) error {
			return a.withEngine(c.Context(), f, func(ctx context.Context, e *engine.Engine, control *engine.Control) (*engine.Outcome, error) {
				return e.Resume(ctx, first(args), engine.ResumeOptions{AcceptChanges: accept, Control: control})
			})
		},
	}
	f.addEngine(c)
	c.Flags().BoolVar(&accept, "accept-changes", false, "go on though the workflow or a plugin changed")
	return c
}

func (a *app) rerunCommand() *cobra.Command {
	var f runFlags
	var with []string
	var downstream bool
	c := &cobra.Command{
		Use:   "rerun RUN STAGE",
		Short: "one stage of a run again, on that run's recorded inputs, as a new run",
		Example: strings.Trim(`
  so8t rerun latest train --with lora.r=32
  so8t rerun 20260102-0304 eval --downstream`, "\n"),
		Args: cobra.ExactArgs(2),
		RunE: func(c *cobra.Command, args []string) error {
			overrides, err := parseWith(with)
			if err != nil {
				return err
			}
			return a.withEngine(c.Context(), f, func(ctx context.Context, e *engine.Engine, control *engine.Control) (*engine.Outcome, error) {
				return e.Rerun(ctx, args[0], args[1], engine.RerunOptions{
					With: overrides, Downstream: downstream, Note: f.note, Control: control,
				})
			})
		},
	}
	f.addEngine(c)
	c.Flags().StringArrayVar(&with, "with", nil, "parameter of the stage to change, `field=value`; repeatable")
	c.Flags().BoolVar(&downstream, "downstream", false, "and all stages that depend on it")
	c.Flags().StringVar(&f.note, "note", "", "`remark` that the list of runs shows")
	return c
}

// parseWith reads field=value pairs; values are read by the rules of YAML scalars in engine.
func parseWith(pairs []string) (map[string]string, error) {
	values := map[string]string{}
	for _, p := range pairs {
		field, value, found := strings.Cut(p, "=")
		if !found || field == "" {
			return nil, usageError{fmt.Errorf("--with %q: write it as field=value", p)}
		}
		values[field] = value
	}
	return values, nil
}

// first is the first argument, or "".
func first(args []string) string {
	if len(args) == 0 {
		return ""
	}
	return args[0]
}
