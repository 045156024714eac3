package cli

import (
	"cmp"
	"context"
	"slices"
	"strings"
	"time"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"

	"github.com/so8t/so8t/engine"
	"github.com/so8t/so8t/engine/workflow"
)

// completeWithin bounds how long a completion may take: a shell that waits is worse than one that
// completes nothing.
const completeWithin = time.Second

// addCompletions tells the shell what completes the arguments and flags of each command.
func (a *app) addCompletions(root *cobra.Command) {
	args := map[string]complete{
		"init": dirs, "validate": workflowFiles, "plan": workflowFiles, "run": workflowFiles, "graph": workflowFiles,
		"resume": upTo(1, a.runIDs), "rerun": a.runThenStage, "status": upTo(1, a.runIDs), "open": upTo(1, a.runIDs),
		"artifacts": upTo(1, a.runIDs), "diff": upTo(2, a.runIDs), "cancel": upTo(1, a.runIDs), "export": upTo(1, a.runIDs),
		"logs": upTo(1, a.stagesOfRun), "explain": upTo(1, a.stagesOfRun), "metrics": upTo(1, a.stagesOfRun),
		"schema": upTo(1, a.stageTypes), "describe": upTo(1, a.stageTypes),
		"runs": none, "check": none, "doctor": none, "version": none, "list": none, "gc": none,
	}
	flags := map[string]complete{
		"run": a.runIDs, "only": a.stagesOfWorkflow, "from": a.stagesOfWorkflow, "until": a.stagesOfWorkflow,
		"force": a.stagesOfWorkflow, "state": words(runStates), "template": words(a.templates()),
		"note": none, "jobs": none, "limit": none, "tail": none, "attempt": none, "with": none, "dir": dirs,
	}
	addCompletions(root, args, flags)
}

func addCompletions(c *cobra.Command, args, flags map[string]complete) {
	if do, ok := args[c.Name()]; ok && c.ValidArgsFunction == nil {
		c.ValidArgsFunction = do
	}
	c.LocalFlags().VisitAll(func(f *pflag.Flag) {
		if do, ok := flags[f.Name]; ok && f.Value.Type() != "bool" {
			_ = c.RegisterFlagCompletionFunc(f.Name, do) // fails only when it is there already
		}
	})
	for _, sub := range c.Commands() {
		addCompletions(sub, args, flags)
	}
}

// complete answers the shell with words for the argument or flag in question.
type complete = func(c *cobra.Command, args []string, typed string) ([]cobra.Completion, cobra.ShellCompDirective)

// words completes from a fixed list.
func words(list []string) complete {
	return cobra.FixedCompletions(list, cobra.ShellCompDirectiveNoFileComp)
}

// none completes nothing, not even files.
func none(*cobra.Command, []string, string) ([]cobra.Completion, cobra.ShellCompDirective) {
	return nil, cobra.ShellCompDirectiveNoFileComp
}

func dirs(*cobra.Command, []string, string) ([]cobra.Completion, cobra.ShellCompDirective) {
	return nil, cobra.ShellCompDirectiveFilterDirs
}

// workflowFiles completes the file of a workflow.
func workflowFiles(_ *cobra.Command, args []string, _ string) ([]cobra.Completion, cobra.ShellCompDirective) {
	if len(args) > 0 {
		return nil, cobra.ShellCompDirectiveNoFileComp
	}
	return []cobra.Completion{"yaml", "yml"}, cobra.ShellCompDirectiveFilterFileExt
}

// upTo completes the first n arguments only.
func upTo(n int, do complete) complete {
	return func(c *cobra.Command, args []string, typed string) ([]cobra.Completion, cobra.ShellCompDirective) {
		if len(args) >= n {
			return none(c, args, typed)
		}
		return do(c, args, typed)
	}
}

// runIDs completes runs, newest first, each with what it is.
func (a *app) runIDs(c *cobra.Command, _ []string, typed string) ([]cobra.Completion, cobra.ShellCompDirective) {
	const shown = 50
	found := []cobra.Completion{cobra.CompletionWithDesc("latest", "the newest run")}
	a.look(c, func(ctx context.Context, e *engine.Engine) {
		view, err := e.Runs(ctx, engine.RunsFilter{Limit: shown})
		if err != nil {
			return
		}
		for _, r := range view.Runs {
			found = append(found, cobra.CompletionWithDesc(r.Run, strings.TrimSpace(r.Workflow+" "+r.State+" "+r.Note)))
		}
	})
	return matching(found, typed), cobra.ShellCompDirectiveNoFileComp | cobra.ShellCompDirectiveKeepOrder
}

// stagesOfRun completes the stages and instances of the run that flag --run names, or the newest.
func (a *app) stagesOfRun(c *cobra.Command, _ []string, typed string) ([]cobra.Completion, cobra.ShellCompDirective) {
	run, _ := c.Flags().GetString("run")
	return a.stagesOf(c, run, typed), cobra.ShellCompDirectiveNoFileComp | cobra.ShellCompDirectiveKeepOrder
}

// runThenStage completes the arguments of rerun.
func (a *app) runThenStage(c *cobra.Command, args []string, typed string) ([]cobra.Completion, cobra.ShellCompDirective) {
	switch len(args) {
	case 0:
		return a.runIDs(c, args, typed)
	case 1:
		return a.stagesOf(c, args[0], typed), cobra.ShellCompDirectiveNoFileComp | cobra.ShellCompDirectiveKeepOrder
	}
	return none(c, args, typed)
}

func (a *app) stagesOf(c *cobra.Command, run, typed string) []cobra.Completion {
	var found []cobra.Completion
	a.look(c, func(ctx context.Context, e *engine.Engine) {
		id, err := e.FindRun(ctx, run)
		if err != nil {
			return
		}
		view, err := e.Status(ctx, id)
		if err != nil {
			return
		}
		for i, s := range view.Stages {
			if s.Stage != s.Instance && (i == 0 || view.Stages[i-1].Stage != s.Stage) {
				found = append(found, cobra.CompletionWithDesc(s.Stage, "all its instances"))
			}
			found = append(found, cobra.CompletionWithDesc(s.Instance, s.Outcome))
		}
	})
	return matching(found, typed)
}

// stagesOfWorkflow completes what a selector may name: the stages and instances of the workflow, read
// without starting a plugin, or of the newest run when it cannot be read so.
func (a *app) stagesOfWorkflow(c *cobra.Command, args []string, typed string) ([]cobra.Completion, cobra.ShellCompDirective) {
	const directive = cobra.ShellCompDirectiveNoFileComp | cobra.ShellCompDirectiveKeepOrder
	project, err := a.projectDir()
	if err != nil {
		return nil, directive
	}
	path, err := workflowPath(project, args)
	if err != nil {
		return nil, directive
	}
	wf, err := workflow.Load(path, workflow.Options{
		Root:     project,
		Describe: func(string) (*workflow.PluginSpec, error) { return nil, nil },
	})
	if err != nil {
		return a.stagesOf(c, "", typed), directive
	}
	var found []cobra.Completion
	seen := map[string]bool{}
	for _, n := range wf.Nodes {
		for _, name := range []string{n.Stage, n.ID} {
			if !seen[name] {
				seen[name] = true
				found = append(found, cobra.CompletionWithDesc(name, n.Uses))
			}
		}
	}
	return matching(found, typed), directive
}

// stageTypes completes the built-in stages.
func (a *app) stageTypes(_ *cobra.Command, args []string, typed string) ([]cobra.Completion, cobra.ShellCompDirective) {
	if len(args) > 0 {
		return nil, cobra.ShellCompDirectiveNoFileComp
	}
	var found []cobra.Completion
	for _, b := range a.Stages {
		found = append(found, b.Name)
	}
	return matching(found, typed), cobra.ShellCompDirectiveDefault // paths too
}

// look opens the project's state for a completion; what goes wrong completes nothing.
func (a *app) look(c *cobra.Command, do func(ctx context.Context, e *engine.Engine)) {
	project, err := a.projectDir()
	if err != nil {
		return
	}
	if dir, err := stateDir(project); err != nil || !holds(dir, "") {
		return // looking must not make a state where there is none
	}
	e, err := a.open(engineSettings{})
	if err != nil {
		return
	}
	defer func() { _ = e.Close() }()
	ctx, cancel := context.WithTimeout(cmp.Or(c.Context(), context.Background()), completeWithin)
	defer cancel()
	do(ctx, e)
}

func matching(found []cobra.Completion, typed string) []cobra.Completion {
	return slices.DeleteFunc(found, func(f cobra.Completion) bool { return !strings.HasPrefix(f, typed) })
}
