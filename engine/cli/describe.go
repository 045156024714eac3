package cli

import (
	"fmt"
	"strings"

	"github.com/so8t/so8t/engine/internal/console"
	"github.com/so8t/so8t/engine/workflow"
	"github.com/so8t/so8t/plugins"
)

// printDescription shows a plugin as a person would look it up: what it takes, what it leaves,
// what it measures.
func (a *app) printDescription(d plugins.Description) error {
	style := a.style(a.Out)
	fmt.Fprintf(a.Out, "%s (%s)  %s\n", d.Name, d.Kind, d.Help)
	if d.Checkpoints {
		fmt.Fprintln(a.Out, "writes checkpoints and goes on from them")
	}
	fmt.Fprintln(a.Out)
	t := console.NewTable("WITH", "TYPE", "DEFAULT", "WHAT")
	fields, err := workflow.SchemaFields(d.With)
	if err != nil {
		return fmt.Errorf("reading the schema of %q: %w", d.Name, err)
	}
	for _, f := range fields {
		t.Row(f.Path, fieldType(f), string(f.Default), strings.TrimSpace(requiredText(f)+f.Help))
	}
	t.Write(a.Out, style)
	fmt.Fprintln(a.Out)
	a.printOutputs(d.Outputs, style)
	if len(d.Metrics) == 0 {
		return nil
	}
	fmt.Fprintln(a.Out)
	t = console.NewTable("METRIC", "BETTER", "WHAT")
	for _, m := range d.Metrics {
		t.Row(m.Name, m.Better, m.Help)
	}
	t.Write(a.Out, style)
	return nil
}

func (a *app) printOutputs(outputs []plugins.Output, style console.Style) {
	if len(outputs) == 0 {
		fmt.Fprintln(a.Out, "no outputs but those that a workflow names")
		return
	}
	t := console.NewTable("OUTPUT", "TYPE", "WHAT")
	for _, o := range outputs {
		what := o.Help
		if o.Volatile {
			what += " (differs from run to run)"
		}
		t.Row(o.Name, o.MediaType, what)
	}
	t.Write(a.Out, style)
}

func fieldType(f workflow.SchemaField) string {
	if f.Format != "" {
		return f.Format
	}
	return f.Type
}

func requiredText(f workflow.SchemaField) string {
	if f.Required {
		return "required. "
	}
	return ""
}
