package cli

import (
	"encoding/csv"
	"fmt"
	"maps"
	"slices"
	"strconv"

	"github.com/spf13/cobra"

	"github.com/so8t/so8t/engine"
	"github.com/so8t/so8t/engine/internal/console"
)

func (a *app) artifactsCommand() *cobra.Command {
	var asJSON bool
	c := &cobra.Command{
		Use:     "artifacts [RUN]",
		Short:   "the outputs of a run with digest and size",
		Example: "  so8t artifacts\n  so8t artifacts latest --json | jq -r '.artifacts[] | select(.output==\"adapter\").path'",
		Args:    cobra.MaximumNArgs(1),
		RunE: func(c *cobra.Command, args []string) error {
			return a.inspect(c.Context(), first(args), func(e *engine.Engine, run string) error {
				view, err := e.Artifacts(c.Context(), run)
				if err != nil {
					return err
				}
				if asJSON {
					return a.printJSON(view)
				}
				t := console.NewTable("STAGE", "OUTPUT", "SIZE", "SHA256", "PATH")
				for _, f := range view.Artifacts {
					t.Row(f.Instance, f.Output, console.Bytes(f.Bytes), f.SHA256[:min(12, len(f.SHA256))], f.Path)
				}
				t.Write(a.Out, a.style(a.Out))
				return nil
			})
		},
	}
	c.Flags().BoolVar(&asJSON, "json", false, "JSON on stdout")
	return c
}

func (a *app) metricsCommand() *cobra.Command {
	var run, format string
	c := &cobra.Command{
		Use:     "metrics [STAGE]",
		Short:   "final metrics and curves of a run",
		Example: "  so8t metrics eval\n  so8t metrics train --format csv > loss.csv",
		Args:    cobra.MaximumNArgs(1),
		RunE: func(c *cobra.Command, args []string) error {
			return a.inspect(c.Context(), run, func(e *engine.Engine, run string) error {
				view, err := e.Metrics(c.Context(), run, first(args))
				if err != nil {
					return err
				}
				switch format {
				case "":
					a.printMetrics(view)
					return nil
				case "json":
					return a.printJSON(view)
				case "csv":
					return a.metricsCSV(view)
				}
				return usageError{fmt.Errorf("--format %q: give json or csv", format)}
			})
		},
	}
	c.Flags().StringVar(&run, "run", "", "the run (default: the newest)")
	c.Flags().StringVar(&format, "format", "", "json or csv (default: a table)")
	_ = c.RegisterFlagCompletionFunc("format", words([]string{"json", "csv"})) // it is there
	return c
}

func (a *app) printMetrics(view *engine.MetricsView) {
	t := console.NewTable("STAGE", "METRIC", "VALUE", "CURVE")
	for _, stage := range sortedKeys(view.Stages) {
		m := view.Stages[stage]
		names := map[string]bool{}
		for name := range m.Final {
			names[name] = true
		}
		for name := range m.Series {
			names[name] = true
		}
		for _, name := range sortedKeys(names) {
			value := ""
			if final, ok := m.Final[name]; ok {
				value = strconv.FormatFloat(final, 'g', 6, 64)
			}
			t.Row(stage, name, value, console.Sparkline(m.Series[name], 40))
		}
	}
	t.Write(a.Out, a.style(a.Out))
}

// metricsCSV writes one line per value: stage, metric, step, value. Final values have no step.
func (a *app) metricsCSV(view *engine.MetricsView) error {
	w := csv.NewWriter(a.Out)
	_ = w.Write([]string{"stage", "metric", "step", "value"}) // the writer keeps its first error for Error
	for _, stage := range sortedKeys(view.Stages) {
		m := view.Stages[stage]
		for _, name := range sortedKeys(m.Series) {
			for _, point := range m.Series[name] {
				_ = w.Write([]string{stage, name, strconv.FormatFloat(point[0], 'f', -1, 64), strconv.FormatFloat(point[1], 'g', -1, 64)})
			}
		}
		for _, name := range sortedKeys(m.Final) {
			_ = w.Write([]string{stage, name, "", strconv.FormatFloat(m.Final[name], 'g', -1, 64)})
		}
	}
	w.Flush()
	return w.Error()
}

func sortedKeys[V any](m map[string]V) []string { return slices.Sorted(maps.Keys(m)) }
