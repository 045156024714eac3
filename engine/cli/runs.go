package cli

import (
	"fmt"
	"slices"
	"strings"

	"github.com/spf13/cobra"

	"github.com/so8t/so8t/engine"
	"github.com/so8t/so8t/engine/internal/console"
)

// runStates are the states that a run can be asked for.
var runStates = []string{"running", "interrupted", "succeeded", "failed", "cancelled"}

func (a *app) runsCommand() *cobra.Command {
	var filter engine.RunsFilter
	var asJSON bool
	c := &cobra.Command{
		Use:     "runs",
		Short:   "list the runs of this project, newest first",
		Example: "  so8t runs --state failed --limit 5",
		Args:    cobra.NoArgs,
		RunE: func(c *cobra.Command, _ []string) error {
			if filter.State != "" && !slices.Contains(runStates, filter.State) {
				return usageError{fmt.Errorf("--state %q: give one of %s", filter.State, strings.Join(runStates, ", "))}
			}
			if filter.Limit < 0 {
				return usageError{fmt.Errorf("--limit %d: give a number of at least 1", filter.Limit)}
			}
			e, err := a.open(engineSettings{})
			if err != nil {
				return err
			}
			view, err := e.Runs(c.Context(), filter)
			if err != nil {
				return err
			}
			if asJSON {
				return a.printJSON(view)
			}
			a.printRuns(view)
			return nil
		},
	}
	c.Flags().StringVar(&filter.Workflow, "workflow", "", "only runs of this workflow")
	c.Flags().StringVar(&filter.State, "state", "", "only runs in this state: "+strings.Join(runStates, ", "))
	c.Flags().IntVar(&filter.Limit, "limit", 0, "at most this many")
	c.Flags().BoolVar(&asJSON, "json", false, "JSON on stdout")
	return c
}

func (a *app) printRuns(view *engine.RunsView) {
	t := console.NewTable("RUN", "WORKFLOW", "STATE", "STARTED", "TOOK", "STAGES", "NOTE")
	for _, r := range view.Runs {
		note := r.Note
		if r.Parent != "" {
			note = strings.TrimSpace("from " + r.Parent + " " + note)
		}
		t.Row(r.Run, r.Workflow, r.State, localTime(r.Started), tookText(r.Started, r.Ended), console.CountsText(r.Stages), note)
	}
	t.Write(a.Out, a.style(a.Out))
}
