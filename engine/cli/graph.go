package cli

import (
	"fmt"
	"slices"
	"strings"

	"github.com/spf13/cobra"

	"github.com/so8t/so8t/engine"
	"github.com/so8t/so8t/engine/internal/console"
	"github.com/so8t/so8t/engine/workflow"
)

// graphFormats are the forms in which a graph is drawn.
var graphFormats = []string{"ascii", "dot", "mermaid", "svg", "json"}

func (a *app) graphCommand() *cobra.Command {
	var flags workflowFlags
	var run, format, describe string
	c := &cobra.Command{
		Use:     "graph [WORKFLOW]",
		Short:   "draw the graph of a workflow, or of a run with its outcomes",
		Example: "  so8t graph workflows/quickstart.yaml\n  so8t graph --run latest --format svg > run.svg",
		Args:    cobra.MaximumNArgs(1),
		RunE: func(c *cobra.Command, args []string) error {
			if run != "" {
				return a.inspect(c.Context(), run, func(e *engine.Engine, run string) error {
					view, err := e.Status(c.Context(), run)
					if err != nil {
						return err
					}
					return a.draw(runGraph(view), format, newRunGraphView(view))
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
	c.Flags().StringVar(&format, "format", "ascii", strings.Join(graphFormats, ", "))
	_ = c.RegisterFlagCompletionFunc("format", words(graphFormats)) // it is there
	c.Flags().StringVar(&describe, "describe", "", "take the stages' descriptions from this `file` and start nothing")
	return c
}

// draw writes the graph; document is what stands for it in JSON.
func (a *app) draw(g console.Graph, format string, document any) error {
	switch format {
	case "ascii":
		console.ASCII(a.Out, a.style(a.Out), g)
	case "dot":
		console.DOT(a.Out, g)
	case "mermaid":
		console.Mermaid(a.Out, g)
	case "svg":
		console.SVG(a.Out, g)
	case "json":
		return a.printJSON(document)
	default:
		return usageError{fmt.Errorf("--format %q: give one of %s", format, strings.Join(graphFormats, ", "))}
	}
	return nil
}

func workflowGraph(wf *workflow.Workflow) console.Graph {
	g := console.Graph{Name: wf.Name}
	byLevel := make([][]console.GraphNode, len(wf.Levels))
	for _, n := range wf.Nodes {
		byLevel[n.Level] = append(byLevel[n.Level], console.GraphNode{ID: n.ID, Stage: n.Stage, Uses: n.Uses, Needs: n.Needs})
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
		g.Nodes = append(g.Nodes, console.GraphNode{ID: s.Instance, Stage: s.Stage, Uses: s.Stage, Needs: s.Needs, Outcome: s.Outcome})
	}
	return g
}

// runGraphView is a run's graph in JSON, with the keys of a workflow's.
type runGraphView struct {
	Run    string     `json:"run"`
	Name   string     `json:"name"`
	Stages []string   `json:"stages"`
	Nodes  []nodeView `json:"nodes"`
	Edges  []edgeView `json:"edges"`
	Levels [][]string `json:"levels"`
}

type nodeView struct {
	ID      string   `json:"id"`
	Stage   string   `json:"stage"`
	Level   int      `json:"level"`
	Needs   []string `json:"needs"`
	Outcome string   `json:"outcome"`
}

type edgeView struct {
	From string `json:"from"`
	To   string `json:"to"`
}

// newRunGraphView puts each instance one level below the deepest that it needs.
func newRunGraphView(v *engine.StatusView) runGraphView {
	g := runGraphView{Run: v.Run, Name: v.Workflow, Stages: []string{}, Nodes: []nodeView{}, Edges: []edgeView{}, Levels: [][]string{}}
	levels := map[string]int{}
	for _, s := range v.Stages {
		level := 0
		for _, need := range s.Needs {
			level = max(level, levels[need]+1)
			g.Edges = append(g.Edges, edgeView{From: need, To: s.Instance})
		}
		levels[s.Instance] = level
		if !slices.Contains(g.Stages, s.Stage) {
			g.Stages = append(g.Stages, s.Stage)
		}
		for len(g.Levels) <= level {
			g.Levels = append(g.Levels, nil)
		}
		g.Levels[level] = append(g.Levels[level], s.Instance)
		g.Nodes = append(g.Nodes, nodeView{ID: s.Instance, Stage: s.Stage, Level: level, Needs: s.Needs, Outcome: s.Outcome})
	}
	return g
}
