package cli

import (
	"fmt"
	"strings"

	"github.com/spf13/cobra"

	"github.com/so8t/so8t/engine"
	"github.com/so8t/so8t/engine/internal/console"
)

func (a *app) explainCommand() *cobra.Command {
	var run string
	var asJSON bool
	c := &cobra.Command{
		Use:     "explain STAGE",
		Short:   "why a stage ran, was reused, failed, was skipped or blocked",
		Example: "  so8t explain train\n  so8t explain --run 20260102 'train[r=8]' --json",
		Args:    cobra.ExactArgs(1),
		RunE: func(c *cobra.Command, args []string) error {
			return a.inspect(c.Context(), run, func(e *engine.Engine, run string) error {
				view, err := e.Explain(c.Context(), run, args[0])
				if err != nil {
					return err
				}
				if asJSON {
					return a.printJSON(view)
				}
				a.printExplanation(view)
				return nil
			})
		},
	}
	c.Flags().StringVar(&run, "run", "", "the run (default: the newest)")
	c.Flags().BoolVar(&asJSON, "json", false, "JSON on stdout")
	return c
}

func (a *app) printExplanation(view *engine.PlannedView) {
	var b strings.Builder
	fmt.Fprintf(&b, "%s: %s\n", view.Instance, view.Outcome)
	if why := whyText(*view); why != "" {
		fmt.Fprintf(&b, "  %s\n", strings.ReplaceAll(why, "\n", "\n  "))
	}
	if from := view.ResumedFrom; from != nil && !strings.Contains(view.Reason, fmt.Sprintf("run %s from step %d", from.Run, from.Step)) {
		fmt.Fprintf(a.Out, "  went on from the checkpoint at step %d of run %s, attempt %d\n", from.Step, from.Run, from.Attempt)
	}
	if view.Error != nil {
		fmt.Fprintf(&b, "  %s: %s\n", view.Error.Code, view.Error.Message)
		if view.Error.Detail != "" {
			fmt.Fprintf(&b, "    %s\n", strings.ReplaceAll(strings.TrimSpace(view.Error.Detail), "\n", "\n    "))
		}
	}
	if len(view.Needs) > 0 {
		fmt.Fprintf(&b, "  depends on %s\n", strings.Join(view.Needs, ", "))
	}
	fmt.Fprint(a.Out, console.PlainText(b.String()))
}
