package cli

import (
	"context"
	"fmt"
	"path"
	"strconv"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/so8t/so8t/engine"
	"github.com/so8t/so8t/engine/internal/console"
	"github.com/so8t/so8t/state"
)

func (a *app) gcCommand() *cobra.Command {
	var policy state.GCPolicy
	var olderThan, maxSize string
	var asJSON bool
	c := &cobra.Command{
		Use:   "gc",
		Short: "reclaim disk space: leftovers, and runs by number, age or size",
		Long: strings.TrimSpace(`
Without flags gc removes only what nothing can use any more: leftovers of crashes, checkpoints of
work that is done, digests of files that are gone. With --keep, --older-than or --max-size runs go
too, with their outputs, logs and checkpoints; with --keep and --older-than a run must be both. A
run stays that an engine holds, that is pinned ('so8t pin'), or whose outputs a run that stays
reuses. With a run goes what it left elsewhere, such as a model on an Ollama server, if no run that
stays has made the same and nobody has replaced it. gc may be used at any time, also beside a run.`),
		Example: strings.Trim(`
  so8t gc --keep 10 --dry-run          what would go if the ten newest runs were kept
  so8t gc --keep 3 --older-than 30d
  so8t gc --max-size 100GB --keep-run 20260102-0304`, "\n"),
		Args: cobra.NoArgs,
		RunE: func(c *cobra.Command, _ []string) error {
			var err error
			if policy.OlderThan, err = parseAge(olderThan); err != nil {
				return err
			}
			if policy.MaxSize, err = parseSize(maxSize); err != nil {
				return err
			}
			policy.ByCount = c.Flags().Changed("keep")
			if policy.Keep < 0 {
				return usageError{fmt.Errorf("--keep %d: give a number of at least 0", policy.Keep)}
			}
			return a.collect(c.Context(), policy, asJSON)
		},
	}
	c.Flags().IntVar(&policy.Keep, "keep", 0, "let runs go that are not among the `N` newest")
	c.Flags().StringVar(&olderThan, "older-than", "", "let runs go that ended longer ago than this `time`: 12h, 30d, 8w")
	c.Flags().StringVar(&maxSize, "max-size", "", "let the oldest runs go until the rest takes no more than this `size`: 500MB, 20GiB")
	c.Flags().StringArrayVar(&policy.KeepRuns, "keep-run", nil, "never this `run`; repeatable")
	c.Flags().BoolVar(&policy.DryRun, "dry-run", false, "only say what would be removed")
	c.Flags().BoolVar(&asJSON, "json", false, "JSON on stdout")
	return c
}

func (a *app) collect(ctx context.Context, policy state.GCPolicy, asJSON bool) error {
	e, err := a.open(engineSettings{})
	if err != nil {
		return err
	}
	defer func() { _ = e.Close() }()
	view, err := e.GC(ctx, policy)
	if err != nil {
		return err
	}
	if asJSON {
		return a.printJSON(view)
	}
	if len(view.Removed) > 0 {
		t := console.NewTable("SIZE", "PATH", "WHAT")
		for _, g := range alike(view.Removed) {
			t.Row(console.Bytes(g.Bytes), g.Path, g.Why)
		}
		t.Write(a.Out, a.style(a.Out))
	}
	for _, left := range view.Failed {
		fmt.Fprintf(a.Err, "not removed, and tried again next time: %s\n", left)
	}
	a.printCollected(view, policy)
	return nil
}

// alike makes one line of things that lie in one folder and go for one reason: an attempt may leave
// many checkpoints.
func alike(removed []engine.RemovedView) []engine.RemovedView {
	type group struct{ folder, why string }
	var lines []engine.RemovedView
	at, count := map[group]int{}, map[group]int{}
	for _, r := range removed {
		g := group{path.Dir(r.Path), r.Why}
		i, seen := at[g]
		if count[g]++; !seen || path.Base(g.folder) == "runs" { // every run is named
			at[g] = len(lines)
			lines = append(lines, r)
			continue
		}
		lines[i].Path, lines[i].Bytes = g.folder+"/*", lines[i].Bytes+r.Bytes
		lines[i].Why = fmt.Sprintf("%d times: %s", count[g], g.why)
	}
	return lines
}

func (a *app) printCollected(view *engine.GCView, policy state.GCPolicy) {
	did := "removed"
	if policy.DryRun {
		did = "would remove"
	}
	fmt.Fprintf(a.Err, "%s %d files and folders, %s\n", did, len(view.Removed), console.Bytes(view.Bytes))
	if !policy.ByCount && policy.OlderThan == 0 && policy.MaxSize == 0 {
		fmt.Fprintln(a.Err, "all runs are kept; --keep N, --older-than TIME or --max-size SIZE lets runs go")
	}
}

func (a *app) pinCommand() *cobra.Command {
	var remove bool
	c := &cobra.Command{
		Use:     "pin RUN",
		Short:   "keep a run from being removed by gc",
		Example: "  so8t pin latest\n  so8t pin --remove 20260102-0304",
		Args:    cobra.ExactArgs(1),
		RunE: func(c *cobra.Command, args []string) error {
			return a.inspect(c.Context(), args[0], func(e *engine.Engine, run string) error {
				if err := e.Pin(c.Context(), run, !remove); err != nil {
					return err
				}
				if remove {
					fmt.Fprintf(a.Err, "run %s is no longer pinned\n", run)
				} else {
					fmt.Fprintf(a.Err, "run %s is pinned\n", run)
				}
				return nil
			})
		},
	}
	c.Flags().BoolVar(&remove, "remove", false, "let gc remove it again")
	return c
}

// parseAge reads 90m, 12h, 30d or 8w; "" is 0.
func parseAge(text string) (time.Duration, error) {
	if text == "" {
		return 0, nil
	}
	d, err := time.ParseDuration(text)
	if err != nil {
		number, unit := text[:len(text)-1], text[len(text)-1:]
		days := map[string]float64{"d": 1, "w": 7}[unit]
		n, numberErr := strconv.ParseFloat(number, 64)
		const most = 100 * 365 // days
		if numberErr == nil && days > 0 && n*days <= most {
			d, err = time.Duration(n*days*24*float64(time.Hour)), nil
		}
	}
	if err != nil || d <= 0 {
		return 0, usageError{fmt.Errorf("--older-than %q: give a time such as 12h, 30d or 8w", text)}
	}
	return d, nil
}

// parseSize reads 1000, 500MB or 20GiB; "" is 0.
func parseSize(text string) (int64, error) {
	if text == "" {
		return 0, nil
	}
	number := strings.TrimRight(text, "KMGTiBkb ")
	unit := strings.TrimSuffix(strings.ToUpper(strings.TrimSpace(text[len(number):])), "B")
	factor, known := map[string]float64{
		"": 1, "K": 1e3, "M": 1e6, "G": 1e9, "T": 1e12, "KI": 1 << 10, "MI": 1 << 20, "GI": 1 << 30, "TI": 1 << 40,
	}[unit]
	n, err := strconv.ParseFloat(number, 64)
	const most = 1 << 60
	if err != nil || !known || n <= 0 || n*factor < 1 || n*factor > most {
		return 0, usageError{fmt.Errorf("--max-size %q: give a size such as 500MB or 20GiB", text)}
	}
	return int64(n * factor), nil
}
