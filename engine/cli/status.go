package cli

import (
	"context"
	"encoding/json"
	"fmt"
	"math"
	"os"
	"sort"
	"strconv"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/so8t/so8t/engine"
	"github.com/so8t/so8t/engine/internal/console"
)

// watchEvery is how often `status --watch` looks.
const watchEvery = 500 * time.Millisecond

func (a *app) statusCommand() *cobra.Command {
	var asJSON, watch, timeline bool
	c := &cobra.Command{
		Use:     "status [RUN]",
		Short:   "how a run stands: stages, attempts, progress, outputs; also while it runs",
		Example: "  so8t status --watch\n  so8t status latest --timeline\n  so8t status 20260102-0304 --json | jq .state",
		Args:    cobra.MaximumNArgs(1),
		RunE: func(c *cobra.Command, args []string) error {
			return a.reading(func(e *engine.Engine) error {
				view, err := e.Status(c.Context(), first(args))
				if err != nil {
					return err
				}
				if watch {
					return a.watch(c.Context(), e, view.Run, asJSON)
				}
				if asJSON {
					return a.printStatus(view)
				}
				if timeline {
					a.printTimeline(view)
					return nil
				}
				fmt.Fprint(a.Out, a.statusText(view))
				return nil
			})
		},
	}
	c.Flags().BoolVar(&timeline, "timeline", false, "when each attempt ran, and its CPU time, peak memory and bytes")
	c.Flags().BoolVar(&asJSON, "json", false, "JSON on stdout")
	c.Flags().BoolVar(&watch, "watch", false, "show it again whenever it changes, until the run ends")
	return c
}

// watch shows a run until it is no longer running: as JSON one line a change, on a terminal as the
// table of `run`, elsewhere the whole status again.
func (a *app) watch(ctx context.Context, e *engine.Engine, run string, asJSON bool) error {
	show := a.printChanges(asJSON)
	if size, terminal := terminalSize(a.Out); terminal && !asJSON && os.Getenv("TERM") != "dumb" {
		live := console.NewLive(a.Out, a.style(a.Out), size)
		defer live.Close()
		show = func(view *engine.StatusView) error {
			live.Show(view, time.Now())
			return nil
		}
	}
	tick := time.NewTicker(watchEvery)
	defer tick.Stop()
	for {
		view, err := e.Status(ctx, run)
		if err != nil {
			return err
		}
		if err := show(view); err != nil || view.State != "running" {
			return err
		}
		select {
		case <-ctx.Done():
			return ctx.Err()
		case <-tick.C:
		}
	}
}

// printChanges returns what prints a view unless it looks as the one before.
func (a *app) printChanges(asJSON bool) func(*engine.StatusView) error {
	shown := ""
	return func(view *engine.StatusView) error {
		text := a.statusText(view)
		if asJSON {
			line, err := json.Marshal(view)
			if err != nil {
				return fmt.Errorf("writing JSON: %w", err)
			}
			text = string(line) + "\n"
		}
		if text != shown {
			fmt.Fprint(a.Out, text)
			shown = text
		}
		return nil
	}
}

// runLine says which run it is and how it stands.
func runLine(v *engine.StatusView) string {
	text := fmt.Sprintf("run %s  %s  %s  started %s", v.Run, v.Workflow, v.State, localTime(v.Started))
	if took := tookText(v.Started, v.Ended); took != "" {
		text += ", took " + took
	}
	if v.Engine.Alive {
		text += fmt.Sprintf(", engine pid %d", v.Engine.PID)
	}
	return text + "\n"
}

func (a *app) statusText(v *engine.StatusView) string {
	var b strings.Builder
	b.WriteString(runLine(v))
	if v.Parent != "" {
		fmt.Fprintf(&b, "made from run %s\n", v.Parent)
	}
	if v.Note != "" {
		fmt.Fprintf(&b, "note: %s\n", v.Note)
	}
	t := console.NewTable("STAGE", "OUTCOME", "TIME", "DETAIL")
	for _, s := range v.Stages {
		t.Row(s.Instance, s.Outcome, stageTime(s), stageDetail(s))
	}
	t.Write(&b, a.style(a.Out))
	return b.String()
}

func (a *app) printTimeline(v *engine.StatusView) {
	columns := 100
	if size, terminal := terminalSize(a.Out); terminal {
		columns, _ = size()
	}
	fmt.Fprint(a.Out, runLine(v))
	console.Timeline(a.Out, a.style(a.Out), v, columns, time.Now())
}

// stageTime is how long the last attempt took, or has taken so far.
func stageTime(s engine.StageView) string {
	if len(s.Attempts) == 0 {
		return ""
	}
	last := s.Attempts[len(s.Attempts)-1]
	return tookText(last.Started, last.Ended)
}

// stageDetail is what is worth knowing of a stage in its present state.
func stageDetail(s engine.StageView) string {
	var lines []string
	add := func(format string, args ...any) { lines = append(lines, fmt.Sprintf(format, args...)) }
	switch {
	case s.Cause != "":
		add("because of %s", s.Cause)
	case s.Outcome == "failed" && s.Error != nil:
		add("%s: %s", s.Error.Code, s.Error.Message)
	case s.Outcome == "cached":
		add("from run %s", s.FromRun)
	case s.Reason != "" && s.Outcome == "succeeded":
		add("ran: %s", s.Reason)
	case s.Reason != "" && s.Outcome != "pending":
		add("%s", s.Reason)
	}
	if n := len(s.Attempts); n > 0 {
		last := s.Attempts[n-1]
		if n > 1 {
			add("attempt %d", last.Attempt)
		}
		if from := last.ResumedFrom; from != nil {
			add("went on from the checkpoint at step %d of run %s", from.Step, from.Run)
		}
		if p := last.Progress; p != nil && s.Outcome == "running" {
			add("%s", progressText(*p))
		}
		if cp := last.Checkpoint; cp != nil && s.Outcome != "succeeded" {
			add("checkpoint at step %d", cp.Step)
		}
	}
	if text := metricsText(s.Metrics); text != "" {
		lines = append(lines, text)
	}
	return strings.Join(lines, "\n")
}

func progressText(p engine.ProgressView) string {
	if p.Total > 0 {
		return strings.TrimSpace(fmt.Sprintf("%d/%d %s %s", p.Done, p.Total, p.Unit, p.Message))
	}
	return strings.TrimSpace(fmt.Sprintf("%d %s %s", p.Done, p.Unit, p.Message))
}

// metricsShown bounds how many metrics a line of status names; `metrics` has them all.
const metricsShown = 4

func metricsText(metrics map[string]float64) string {
	names := make([]string, 0, len(metrics))
	for name := range metrics {
		names = append(names, name)
	}
	sort.Strings(names)
	var parts []string
	for _, name := range names[:min(len(names), metricsShown)] {
		parts = append(parts, name+" "+metricText(name, metrics[name]))
	}
	if n := len(names) - metricsShown; n > 0 {
		parts = append(parts, fmt.Sprintf("and %d more", n))
	}
	return strings.Join(parts, ", ")
}

// metricText writes a value for people: sizes with a unit, whole numbers whole.
func metricText(name string, value float64) string {
	const exact = 1 << 53 // whole numbers up to here are exact
	switch whole := value == math.Trunc(value) && math.Abs(value) < exact; {
	case whole && value >= 0 && (name == "bytes" || strings.HasSuffix(name, "_bytes")):
		return console.Bytes(int64(value))
	case whole:
		return strconv.FormatInt(int64(value), 10)
	}
	return strconv.FormatFloat(value, 'g', 4, 64)
}

// localTime shows a time of the JSON views in the reader's zone.
func localTime(text string) string {
	t, err := time.Parse(time.RFC3339Nano, text)
	if err != nil {
		return text
	}
	return t.Local().Format("2006-01-02 15:04:05")
}

// tookText is the time between two times of the JSON views; up to now when the second is "".
func tookText(from, to string) string {
	start, err := time.Parse(time.RFC3339Nano, from)
	if err != nil {
		return ""
	}
	end, err := time.Parse(time.RFC3339Nano, to)
	if err != nil {
		end = time.Now()
	}
	return console.Duration(end.Sub(start))
}
