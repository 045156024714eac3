package cli

import (
	"fmt"
	"strings"

	"github.com/spf13/cobra"

	"github.com/so8t/so8t/engine"
	"github.com/so8t/so8t/engine/internal/console"
	"github.com/so8t/so8t/engine/workflow"
)

func (a *app) graphCommand() *cobra.Command {
	var flags workflowFlags
	var run, format, describe string
	c := &cobra.Command{
		Use:     "graph [WORKFLOW]",
		Short:   "draw the graph of a workflow, or of a run with its outcomes",
		Example: "  so8t graph workflows/quickstart.yaml\n  so8t graph --run latest --format dot | dot -Tsvg > run.svg",
		Args:    cobra.MaximumNArgs(1),
		RunE: func(c *cobra.Command, args []string) error {
			if run != "" {
				return a.inspect(c.Context(), run, func(e *engine.Engine, run string) error {
					view, err := e.Status(c.Context(), run)
					if err != nil {
						return err
					}
					return a.draw(runGraph(view), format, nil)
				})
			}
			e, err := a.open(engineSettings{})
			if err != nil {
				return err
			}
			defer func() { _ = e.Close() }()
			wf, err := a.loadDescribed(c.Context(), e, flags, describe, args)
			if err != nil {
				return err
			}
			return a.draw(workflowGraph(wf), format, wf)
		},
	}
	flags.add(c)
	c.Flags().StringVar(&run, "run", "", "draw this run with its outcomes")
	c.Flags().StringVar(&format, "format", "ascii", "ascii, dot, mermaid or json")
	c.Flags().StringVar(&describe, "describe", "", "take the stages' descriptions from this `file` and start nothing")
	return c
}

func (a *app) draw(g console.Graph, format string, wf *workflow.Workflow) error {
	switch format {
	case "ascii":
		console.ASCII(a.Out, a.style(a.Out), g)
	case "dot":
		console.DOT(a.Out, g)
	case "mermaid":
		console.Mermaid(a.Out, g)
	case "json":
		if wf == nil {
			return a.printJSON(g)
		}
		return a.printJSON(wf)
	default:
		return usageError{fmt.Errorf("--format %q: give one of %s", format, strings.Join([]string{"ascii", "dot", "mermaid", "json"}, ", "))}
	}
	return nil
}

func workflowGraph(wf *workflow.Workflow) console.Graph {
	g := console.Graph{Name: wf.Name}
	byLevel := make([][]console.GraphNode, len(wf.Levels))
	for _, n := range wf.Nodes {
		byLevel[n.Level] = append(byLevel[n.Level], console.GraphNode{ID: n.ID, Uses: n.Uses, Level: n.Level, Needs: n.Needs})
	}
	for _, level := range byLevel {
		g.Nodes = append(g.Nodes, level...)
	}
	return g
}

// runGraph draws the recorded instances; they are stored in the order of the graph.
func runGraph(v *engine.StatusView) console.Graph {
	g := console.Graph{Name: v.Workflow}
	for _, s := range v.Stages {
		g.Nodes = append(g.Nodes, console.GraphNode{ID: s.Instance, Uses: s.Stage, Needs: s.Needs, Outcome: s.Outcome})
	}
	return g
}
