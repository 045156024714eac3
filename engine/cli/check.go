package cli

import (
	"context"
	"fmt"
	"path/filepath"
	"slices"

	"github.com/spf13/cobra"

	"github.com/so8t/so8t/engine"
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
			e, err := a.open(engineSettings{})
			if err != nil {
				return err
			}
			defer func() { _ = e.Close() }()
			options := state.CheckOptions{Command: []string{a.Self, hiddenCheck}, VerifyAttempt: verifyAttempt}
			findings, err := e.CheckState(c.Context(), options)
			if err == nil && repair {
				findings, err = a.repair(c.Context(), e, options, findings)
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

// maxRepairs bounds how often what a repair brings to light is repaired: damage to the database hides
// what its records would tell.
const maxRepairs = 3

// repair mends what it can, says what it did, and returns what is found afterwards.
func (a *app) repair(ctx context.Context, e *engine.Engine, options state.CheckOptions, findings []state.Finding) ([]state.Finding, error) {
	for range maxRepairs {
		done, err := e.RepairState(ctx, findings)
		for _, line := range done {
			fmt.Fprintln(a.Err, "repaired:", line)
		}
		if err != nil {
			return nil, err
		}
		if findings, err = e.CheckState(ctx, options); err != nil || len(done) == 0 || !damaged(findings) {
			return findings, err
		}
	}
	return findings, nil
}

func damaged(findings []state.Finding) bool {
	return slices.ContainsFunc(findings, func(f state.Finding) bool { return f.Severity == state.Damage })
}

// verifyAttempt reads the outputs of an attempt whole and compares them with its manifest.
func verifyAttempt(folder string) error {
	_, err := manifest.VerifyOutputs(filepath.Join(folder, "out"), manifest.Contents)
	return err
}

func (a *app) printFindings(findings []state.Finding, asJSON bool) error {
	damage := damaged(findings)
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
		case damage:
			fmt.Fprintln(a.Err, "the state is damaged: 'so8t check --repair' mends what can be mended")
		default:
			fmt.Fprintln(a.Err, "no damage")
		}
	}
	if damage {
		return quietError{exitDamaged}
	}
	return nil
}
