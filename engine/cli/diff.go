package cli

import (
	"encoding/json"
	"fmt"
	"slices"
	"strings"

	"github.com/spf13/cobra"

	"github.com/so8t/so8t/engine"
	"github.com/so8t/so8t/engine/internal/console"
)

func (a *app) diffCommand() *cobra.Command {
	var asJSON bool
	c := &cobra.Command{
		Use:     "diff RUN RUN",
		Short:   "what differs between two runs: parameters, inputs, metrics, artifacts",
		Example: "  so8t diff 20260102-0304 latest\n  so8t diff 20260102 20260103 --json | jq '.metrics[] | select(.better==\"b\")'",
		Args:    cobra.ExactArgs(2),
		RunE: func(c *cobra.Command, args []string) error {
			return a.inspect(c.Context(), args[0], func(e *engine.Engine, before string) error {
				after, err := e.FindRun(c.Context(), args[1])
				if err != nil {
					return err
				}
				view, err := e.Diff(c.Context(), before, after)
				if err != nil {
					return err
				}
				if asJSON {
					return a.printJSON(view)
				}
				a.printDiff(view)
				return nil
			})
		},
	}
	c.Flags().BoolVar(&asJSON, "json", false, "JSON on stdout")
	return c
}

func (a *app) printDiff(d *engine.DiffView) {
	style := a.style(a.Out)
	var nameA, nameB string
	if d.WorkflowA != d.WorkflowB {
		nameA, nameB = "  "+d.WorkflowA, "  "+d.WorkflowB
	}
	fmt.Fprintf(a.Out, "a  run %s%s\nb  run %s%s\n", d.A, nameA, d.B, nameB)
	if d.Same() {
		fmt.Fprintln(a.Out, "no difference")
		return
	}
	section := func(t *console.Columns, rows int) {
		if rows > 0 {
			fmt.Fprintln(a.Out)
			t.Write(a.Out, style)
		}
	}
	t := console.NewTable("STAGE", "A", "B")
	for _, s := range d.Stages {
		t.Row(s.Instance, orDash(s.A), orDash(s.B))
	}
	section(t, len(d.Stages))
	dropOneSided(d)
	t = console.NewTable("PARAMETER", "A", "B")
	for _, p := range d.Params {
		t.Row(p.Field, valueText(p.A), valueText(p.B))
	}
	section(t, len(d.Params))
	t = console.NewTable("INPUT", "A", "B")
	for _, p := range d.Inputs {
		t.Row(p.Field, digestText(valueText(p.A)), digestText(valueText(p.B)))
	}
	section(t, len(d.Inputs))
	t = console.NewTable("METRIC", "A", "B", "CHANGE", "")
	for _, m := range d.Metrics {
		t.Row(m.Instance+" "+m.Metric, numberText(m.Metric, m.A), numberText(m.Metric, m.B), changeText(m), verdictText(m.Better))
	}
	section(t, len(d.Metrics))
	t = console.NewTable("ARTIFACT", "A", "B", "")
	for _, o := range d.Artifacts {
		note := ""
		if o.Volatile {
			note = "differs from run to run"
		}
		t.Row(o.Instance+" "+o.Output, orDash(digestText(o.A)), orDash(digestText(o.B)), note)
	}
	section(t, len(d.Artifacts))
}

// dropOneSided takes out what is there in one run only because its stage did not run in the other:
// for a person the line of the stage says it all.
func dropOneSided(d *engine.DiffView) {
	idle := []string{"", "skipped", "blocked", "pending", "cancelled"}
	otherwise := map[string]bool{}
	for _, s := range d.Stages {
		otherwise[s.Instance] = slices.Contains(idle, s.A) != slices.Contains(idle, s.B)
	}
	d.Metrics = slices.DeleteFunc(d.Metrics, func(m engine.MetricDiff) bool {
		return otherwise[m.Instance] && (m.A == nil || m.B == nil)
	})
	d.Artifacts = slices.DeleteFunc(d.Artifacts, func(o engine.ArtifactDiff) bool {
		return otherwise[o.Instance] && (o.A == "" || o.B == "")
	})
	absent := func(v json.RawMessage) bool { return string(v) == "null" }
	d.Params = slices.DeleteFunc(d.Params, func(p engine.ValueDiff) bool {
		return (absent(p.A) || absent(p.B)) && slices.ContainsFunc(d.Stages, func(s engine.OutcomeDiff) bool {
			return otherwise[s.Instance] && strings.HasPrefix(p.Field, s.Instance+".")
		})
	})
}

func orDash(text string) string {
	if text == "" {
		return "-"
	}
	return text
}

func valueText(v json.RawMessage) string {
	var text string
	if json.Unmarshal(v, &text) == nil && text != "" {
		return text
	}
	if string(v) == "null" {
		return "-"
	}
	return string(v)
}

// digestText shortens a digest for people.
func digestText(text string) string {
	const shown = 12
	text = strings.TrimPrefix(text, "sha256:")
	return text[:min(shown, len(text))]
}

func numberText(name string, v any) string {
	if n, ok := v.(float64); ok {
		return metricText(name, n)
	}
	return "-"
}

// changeText is by how much b is more than a.
func changeText(m engine.MetricDiff) string {
	x, okA := m.A.(float64)
	y, okB := m.B.(float64)
	if !okA || !okB {
		return ""
	}
	text := fmt.Sprintf("%+.4g", y-x)
	if x != 0 {
		text += fmt.Sprintf(" (%+.1f %%)", 100*(y-x)/max(x, -x))
	}
	return text
}

func verdictText(better string) string {
	switch better {
	case "b":
		return "better"
	case "a":
		return "worse"
	}
	return ""
}
