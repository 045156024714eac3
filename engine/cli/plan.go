package cli

import (
	"context"
	"fmt"
	"strings"

	"github.com/spf13/cobra"

	"github.com/so8t/so8t/engine"
	"github.com/so8t/so8t/engine/internal/console"
)

func (a *app) planCommand() *cobra.Command {
	var (
		flags    workflowFlags
		selector selectorFlags
		asJSON   bool
		exitCode bool
	)
	c := &cobra.Command{
		Use:   "plan [WORKFLOW]",
		Short: "say what would run and why, and start nothing",
		Example: strings.Trim(`
  so8t plan workflows/quickstart.yaml
  so8t plan --param seed=7 --json
  so8t plan --exit-code || echo "something would run"`, "\n"),
		Args: cobra.MaximumNArgs(1),
		RunE: func(c *cobra.Command, args []string) error {
			return a.plan(c.Context(), flags, selector, args, asJSON, exitCode)
		},
	}
	flags.add(c)
	selector.add(c)
	c.Flags().BoolVar(&asJSON, "json", false, "JSON on stdout")
	c.Flags().BoolVar(&exitCode, "exit-code", false, "exit 10 when something would run")
	return c
}

func (a *app) plan(ctx context.Context, flags workflowFlags, selector selectorFlags, args []string, asJSON, exitCode bool) error {
	e, err := a.open(engineSettings{})
	if err != nil {
		return err
	}
	wf, err := a.load(ctx, e, flags, args)
	if err != nil {
		return err
	}
	plan, err := e.Plan(ctx, wf, selector.selection())
	if err != nil {
		return err
	}
	view := plan.View()
	if err := a.printPlan(view, asJSON); err != nil {
		return err
	}
	if len(plan.Problems) > 0 {
		return &engine.CheckError{Problems: plan.Problems}
	}
	if exitCode && plan.Would() {
		return quietError{exitPending}
	}
	return nil
}

func (a *app) printPlan(view *engine.PlanView, asJSON bool) error {
	if asJSON {
		return a.printJSON(view)
	}
	t := console.NewTable("STAGE", "ACTION", "WHY")
	for _, s := range view.Stages {
		t.Row(s.Instance, s.Action, whyText(s))
	}
	t.Write(a.Out, a.style(a.Out))
	return nil
}

// whyText is the reason and, below it, each changed part of the fingerprint.
func whyText(s engine.PlannedView) string {
	lines := []string{s.Reason}
	for _, c := range s.Changes {
		if text := c.String(); !strings.Contains(s.Reason, text) {
			lines = append(lines, text)
		}
	}
	if s.FromRun != "" && !strings.Contains(s.Reason, s.FromRun) {
		lines[0] = strings.TrimSpace(fmt.Sprintf("%s (run %s)", s.Reason, s.FromRun))
	}
	return strings.Join(lines, "\n")
}
