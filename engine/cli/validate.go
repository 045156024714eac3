package cli

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"

	"github.com/spf13/cobra"

	"github.com/so8t/so8t/engine"
	"github.com/so8t/so8t/engine/workflow"
)

type problemsView struct {
	Problems workflow.Problems `json:"problems"`
}

func (a *app) validateCommand() *cobra.Command {
	var flags workflowFlags
	var describe string
	var asJSON bool
	c := &cobra.Command{
		Use:     "validate [WORKFLOW]",
		Short:   "find all problems of a workflow; no stage runs",
		Example: "  so8t validate\n  so8t validate workflows/quickstart.yaml --param seed=7 --json",
		Args:    cobra.MaximumNArgs(1),
		RunE: func(c *cobra.Command, args []string) error {
			problems, stages, err := a.validate(c.Context(), flags, describe, args)
			if asJSON {
				return a.printProblems(problems, err)
			}
			if err != nil {
				return err
			}
			if len(problems) > 0 {
				return problems
			}
			fmt.Fprintf(a.Err, "no problems in %d stages\n", stages)
			return nil
		},
	}
	flags.add(c)
	c.Flags().StringVar(&describe, "describe", "", "take the stages' descriptions from this `file` and start nothing")
	c.Flags().BoolVar(&asJSON, "json", false, "JSON on stdout")
	return c
}

// printProblems writes the problems as JSON, those of missing resources too, and chooses the code
// that the same problems have in words.
func (a *app) printProblems(problems workflow.Problems, err error) error {
	code := exitUsage
	var check *engine.CheckError
	if errors.As(err, &check) {
		problems, code = a.checkProblems(check), exitCode(err)
	} else if err != nil {
		return err
	}
	if problems == nil {
		problems = workflow.Problems{}
	}
	if err := a.printJSON(problemsView{problems}); err != nil {
		return err
	}
	if len(problems) > 0 {
		return quietError{code}
	}
	return nil
}

// validate returns what is wrong with a workflow: its text, and, unless descriptions come from
// a file, what the stages' own checks find. A resource that is missing is an error of its own.
func (a *app) validate(ctx context.Context, flags workflowFlags, describe string, args []string) (workflow.Problems, int, error) {
	if describe != "" {
		wf, err := a.loadDescribed(ctx, nil, flags, describe, args)
		if problems, ok := asProblems(err); ok {
			return problems, 0, nil
		}
		return nil, stageCount(wf), err
	}
	e, err := a.open(engineSettings{})
	if err != nil {
		return nil, 0, err
	}
	defer func() { _ = e.Close() }()
	wf, err := a.load(ctx, e, flags, args)
	if problems, ok := asProblems(err); ok {
		return problems, 0, nil
	}
	if err != nil {
		return nil, 0, err
	}
	plan, err := e.Plan(ctx, wf, engine.Selection{})
	if err != nil {
		return nil, 0, err
	}
	check := &engine.CheckError{Problems: plan.Problems}
	if check.ResourceMissing() {
		return nil, 0, check
	}
	return a.checkProblems(check), len(wf.Stages), nil
}

func stageCount(wf *workflow.Workflow) int {
	if wf == nil {
		return 0
	}
	return len(wf.Stages)
}

func asProblems(err error) (workflow.Problems, bool) {
	var problems workflow.Problems
	ok := errors.As(err, &problems)
	return problems, ok
}

// checkProblems turns what stages found into problems at the place of the stage.
func (a *app) checkProblems(check *engine.CheckError) workflow.Problems {
	var problems workflow.Problems
	for _, p := range check.Problems {
		message := fmt.Sprintf("stage %q: %s", p.Instance, p.Message)
		if p.Field != "" {
			message = fmt.Sprintf("stage %q, field %q: %s", p.Instance, p.Field, p.Message)
		}
		problems = append(problems, workflow.Problem{
			File: p.File, Line: p.Line, Col: p.Col, Code: p.Code, Message: message, Hint: p.Hint,
			Excerpt: a.lineOf(p.File, p.Line),
		})
	}
	problems.Sort()
	return problems
}

// lineOf is a line of a file that a problem names, or "" when it cannot be shown.
func (a *app) lineOf(file string, line int) string {
	project, err := a.projectDir()
	if err != nil || file == "" || line < 1 {
		return ""
	}
	if !filepath.IsAbs(file) {
		file = filepath.Join(project, filepath.FromSlash(file))
	}
	text, err := os.ReadFile(file)
	lines := strings.Split(string(text), "\n")
	if err != nil || line > len(lines) {
		return ""
	}
	return strings.TrimRight(lines[line-1], "\r")
}

// loadDescribed is load, with descriptions from a file when one is named.
func (a *app) loadDescribed(ctx context.Context, e *engine.Engine, flags workflowFlags, describe string, args []string) (*workflow.Workflow, error) {
	if describe == "" {
		wf, err := a.load(ctx, e, flags, args)
		if err != nil {
			return nil, err
		}
		return wf.Workflow, nil
	}
	project, err := a.projectDir()
	if err != nil {
		return nil, err
	}
	path, err := workflowPath(project, args)
	if err != nil {
		return nil, err
	}
	params, err := flags.values()
	if err != nil {
		return nil, err
	}
	described, err := workflow.DescribeFile(describe)
	if err != nil {
		return nil, usageError{fmt.Errorf("reading descriptions: %w", err)}
	}
	return workflow.Load(path, workflow.Options{Root: project, Params: params, Describe: described.Describe, Plugins: described.Names()})
}
