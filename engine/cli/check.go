package cli

import (
	"context"
	"fmt"
	"path/filepath"

	"github.com/spf13/cobra"

	"github.com/so8t/so8t/engine/internal/console"
	"github.com/so8t/so8t/plugins/manifest"
	"github.com/so8t/so8t/state"
)

type findingsView struct {
	Findings []state.Finding `json:"findings"`
}

func (a *app) checkCommand() *cobra.Command {
	var asJSON, repair bool
	c := &cobra.Command{
		Use:     "check",
		Short:   "check the state against the disk; damage is exit 4",
		Example: "  so8t check\n  so8t check --repair",
		Args:    cobra.NoArgs,
		RunE: func(c *cobra.Command, _ []string) error {
			project, err := a.projectDir()
			if err != nil {
				return err
			}
			dir, err := stateDir(project)
			if err != nil {
				return err
			}
			options := state.CheckOptions{Command: []string{a.Self, hiddenCheck}, VerifyAttempt: verifyAttempt}
			findings, err := state.Check(c.Context(), dir, options)
			if err == nil && repair {
				findings, err = a.repair(c.Context(), dir, options, findings)
			}
			if err != nil {
				return err
			}
			return a.printFindings(findings, asJSON)
		},
	}
	c.Flags().BoolVar(&asJSON, "json", false, "JSON on stdout")
	c.Flags().BoolVar(&repair, "repair", false, "mend what can be mended; damaged files are moved aside, never deleted")
	return c
}

// repair mends what it can, says what it did, and returns what is found afterwards.
func (a *app) repair(ctx context.Context, dir string, options state.CheckOptions, findings []state.Finding) ([]state.Finding, error) {
	done, err := state.Repair(ctx, dir, findings)
	for _, line := range done {
		fmt.Fprintln(a.Err, "repaired:", line)
	}
	if err != nil {
		return nil, err
	}
	return state.Check(ctx, dir, options)
}

// verifyAttempt reads the outputs of an attempt whole and compares them with its manifest.
func verifyAttempt(folder string) error {
	_, err := manifest.VerifyOutputs(filepath.Join(folder, "out"), manifest.Contents)
	return err
}

func (a *app) printFindings(findings []state.Finding, asJSON bool) error {
	damaged := false
	for _, f := range findings {
		damaged = damaged || f.Severity == state.Damage
	}
	if asJSON {
		if findings == nil {
			findings = []state.Finding{}
		}
		if err := a.printJSON(findingsView{findings}); err != nil {
			return err
		}
	} else {
		t := console.NewTable("SEVERITY", "CODE", "PATH", "WHAT")
		for _, f := range findings {
			what := f.Message
			if f.Repair != "" {
				what += "\n--repair would " + f.Repair
			}
			t.Row(string(f.Severity), f.Code, f.Path, what)
		}
		if len(findings) > 0 {
			t.Write(a.Out, a.style(a.Out))
		}
		switch {
		case damaged:
			fmt.Fprintln(a.Err, "the state is damaged: 'so8t check --repair' mends what can be mended")
		default:
			fmt.Fprintln(a.Err, "no damage")
		}
	}
	if damaged {
		return quietError{exitDamaged}
	}
	return nil
}
