package cli

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"strings"

	"github.com/spf13/cobra"

	"github.com/so8t/so8t/engine"
	"github.com/so8t/so8t/engine/internal/console"
	"github.com/so8t/so8t/engine/workflow"
)

// runFlags are the flags of run; resume and rerun share most of them.
type runFlags struct {
	engineSettings
	workflowFlags
	selectorFlags
	note   string
	dryRun bool
	json   bool
}

func (a *app) runCommand() *cobra.Command {
	var f runFlags
	c := &cobra.Command{
		Use:   "run [WORKFLOW]",
		Short: "run a workflow; what is done already is reused",
		Long: strings.TrimSpace(`
Starts a new run of a workflow. A stage whose work was done before (same plugin, parameters,
inputs and environment) is reused; one that was interrupted goes on from its newest checkpoint.
Ctrl-C lets the running stages write a checkpoint and stop; a second one kills them.`),
		Example: strings.Trim(`
  so8t run workflows/quickstart.yaml
  so8t run --param seed=7 --until train
  so8t run --force train --note "a colder start"
  so8t run --json | jq -r 'select(.event=="stage_ended") | [.instance,.outcome] | @tsv'`, "\n"),
		Args: cobra.MaximumNArgs(1),
		RunE: func(c *cobra.Command, args []string) error { return a.run(c.Context(), f, args) },
	}
	f.workflowFlags.add(c)
	f.selectorFlags.add(c)
	f.addEngine(c)
	c.Flags().StringVar(&f.note, "note", "", "`remark` that the list of runs shows")
	c.Flags().BoolVar(&f.dryRun, "dry-run", false, "show the plan and stop")
	return c
}

// addEngine adds the flags that every command that runs stages has.
func (f *runFlags) addEngine(c *cobra.Command) {
	c.Flags().IntVar(&f.jobs, "jobs", 0, "stages at a time (default: SO8T_JOBS, else the number of processors)")
	c.Flags().BoolVar(&f.keepGoing, "keep-going", false, "run what does not depend on a failed stage")
	c.Flags().BoolVar(&f.verify, "verify", false, "read reused outputs whole instead of trusting size and time")
	c.Flags().BoolVar(&f.json, "json", false, "one JSON event a line on stdout")
}

func (a *app) run(ctx context.Context, f runFlags, args []string) error {
	if project, err := a.projectDir(); err == nil && !f.json && !f.dryRun {
		fmt.Fprintf(a.Err, "project %s\n", project)
	}
	return a.withEngine(ctx, f, func(ctx context.Context, e *engine.Engine, control *engine.Control) (*engine.Outcome, error) {
		wf, err := a.load(ctx, e, f.workflowFlags, args)
		if err != nil {
			return nil, err
		}
		plan, err := e.Plan(ctx, wf, f.selection())
		if err != nil {
			return nil, err
		}
		if f.dryRun {
			return nil, a.printPlan(plan.View(), f.json)
		}
		return e.Run(ctx, plan, engine.RunOptions{Note: f.note, Control: control})
	})
}

// runFunc is a command that runs stages, given what it runs them with.
type runFunc func(ctx context.Context, e *engine.Engine, control *engine.Control) (*engine.Outcome, error)

// withEngine opens an engine whose events are shown as the flags ask, runs what is given with
// signals handed to it, and turns its outcome into an exit code.
func (a *app) withEngine(ctx context.Context, f runFlags, do runFunc) error {
	view := a.view(f.json)
	defer view.close()
	h := &signalHandler{control: engine.NewControl(), again: view.again}
	f.listener = func(e engine.Event) {
		h.started.Store(true)
		view.listen(e)
	}
	e, err := a.open(f.engineSettings)
	if err != nil {
		return err
	}
	defer func() { _ = e.Close() }()
	h.engine = e
	ctx, h.cancel = context.WithCancelCause(ctx)
	defer h.cancel(nil)
	defer h.listen()()
	outcome, err := do(ctx, e, h.control)
	view.close()
	var early interruptedError
	if err != nil && errors.As(context.Cause(ctx), &early) {
		fmt.Fprintf(a.Err, "so8t: %v\n", early)
		return quietError{signalExit[early.signal]}
	}
	if err != nil || outcome == nil {
		return err
	}
	return a.finish(outcome, f.json)
}

// view is how the events of a run are shown.
type view struct {
	listen engine.Listener
	close  func()
	again  func() // after the program was stopped and goes on
}

// view picks how events are shown: JSON lines, a live table on a terminal, plain lines.
func (a *app) view(asJSON bool) view {
	nothing := func() {}
	if asJSON {
		return view{console.JSONLines(a.Out), nothing, nothing}
	}
	style := a.style(a.Err)
	if size, terminal := terminalSize(a.Err); terminal && os.Getenv("TERM") != "dumb" && os.Getenv("CI") == "" {
		live := console.NewLive(a.Err, style, size)
		return view{live.Listen, live.Close, live.Again}
	}
	return view{console.NewPlain(a.Err, style).Listen, nothing, nothing}
}

// finish says how a run ended and chooses the exit code.
func (a *app) finish(o *engine.Outcome, asJSON bool) error {
	if !asJSON {
		fmt.Fprintf(a.Err, "run %s %s: %s\n", o.Run, o.State, console.CountsText(o.Stages))
		a.advise(o)
	}
	switch o.State {
	case "succeeded":
		return nil
	case "interrupted", "cancelled":
		if code, ok := signalExit[o.Signal]; ok {
			return quietError{code}
		}
		return quietError{signalExit[engine.SIGINT]}
	}
	return quietError{exitFailed}
}

func (a *app) advise(o *engine.Outcome) {
	switch o.State {
	case "failed":
		fmt.Fprintf(a.Err, "  so8t explain --run %s STAGE   why\n  so8t logs --run %s STAGE      what it printed\n  so8t resume %s                try again\n", o.Run, o.Run, o.Run)
	case "interrupted", "cancelled":
		fmt.Fprintf(a.Err, "  so8t resume %s   goes on from here\n", o.Run)
	}
}

// workflowFlags say with which parameters a workflow is read.
type workflowFlags struct {
	params    []string
	paramFile string
}

func (f *workflowFlags) add(c *cobra.Command) {
	c.Flags().StringArrayVar(&f.params, "param", nil, "parameter of the workflow, `name=value`; repeatable")
	c.Flags().StringVar(&f.paramFile, "param-file", "", "`file` of lines, name: value; --param wins")
}

func (f workflowFlags) values() (map[string]string, error) {
	values := map[string]string{}
	if f.paramFile != "" {
		text, err := os.ReadFile(f.paramFile)
		if err != nil {
			return nil, usageError{fmt.Errorf("reading parameter file %q: %w", f.paramFile, err)}
		}
		if err := parseParamFile(f.paramFile, string(text), values); err != nil {
			return nil, err
		}
	}
	for _, p := range f.params {
		name, value, found := strings.Cut(p, "=")
		if !found || name == "" {
			return nil, usageError{fmt.Errorf("--param %q: write it as name=value", p)}
		}
		values[name] = value
	}
	return values, nil
}

// parseParamFile reads lines `name: value` or `name=value`; # starts a comment line.
func parseParamFile(file, text string, into map[string]string) error {
	var problems workflow.Problems
	for i, line := range strings.Split(text, "\n") {
		line = strings.TrimSpace(line)
		if line == "" || strings.HasPrefix(line, "#") {
			continue
		}
		at := strings.IndexAny(line, ":=")
		if at <= 0 {
			problems = append(problems, workflow.Problem{
				File: file, Line: i + 1, Col: 1, Code: "param-file", Excerpt: line,
				Message: "a line of a parameter file is `name: value`", Hint: "comments start with #",
			})
			continue
		}
		value := strings.TrimSpace(line[at+1:])
		if n := len(value); n >= 2 && value[0] == value[n-1] && (value[0] == '"' || value[0] == '\'') {
			value = value[1 : n-1]
		}
		into[strings.TrimSpace(line[:at])] = value
	}
	if problems != nil {
		return problems
	}
	return nil
}

// load reads a workflow with its parameters.
func (a *app) load(ctx context.Context, e *engine.Engine, f workflowFlags, args []string) (*engine.Workflow, error) {
	project, err := a.projectDir()
	if err != nil {
		return nil, err
	}
	path, err := workflowPath(project, args)
	if err != nil {
		return nil, err
	}
	params, err := f.values()
	if err != nil {
		return nil, err
	}
	wf, err := e.Load(ctx, path, params)
	var unreadable *fs.PathError
	switch {
	case errors.Is(err, os.ErrNotExist):
		return nil, usageError{fmt.Errorf("reading workflow %q: there is no such file", path)}
	case errors.As(err, &unreadable) && unreadable.Path == path:
		if info, statErr := os.Stat(path); statErr == nil && info.IsDir() {
			err = fmt.Errorf("reading workflow: %q is a folder: name the workflow in it, or give it with --dir", path)
		}
		return nil, usageError{err}
	}
	return wf, err
}

// selectorFlags narrow a plan.
type selectorFlags struct{ engine.Selection }

func (f *selectorFlags) add(c *cobra.Command) {
	c.Flags().StringArrayVar(&f.Only, "only", nil, "just this `stage`; repeatable, as all selectors")
	c.Flags().StringArrayVar(&f.From, "from", nil, "this `stage` and all that depend on it")
	c.Flags().StringArrayVar(&f.Until, "until", nil, "this `stage` and all it depends on")
	c.Flags().StringArrayVar(&f.Force, "force", nil, "run this `stage` though it is done, without its checkpoints")
	c.Flags().BoolVar(&f.ForceAll, "force-all", false, "run everything though it is done")
}

func (f *selectorFlags) selection() engine.Selection { return f.Selection }
