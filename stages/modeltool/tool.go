// Package modeltool is the tools of `so8t model …`: looking into model files, tokenising,
// logits, generation, conversion and measurement, for users between stages. The tools share the
// code of the stages, so that what they show is what a stage computes.
package modeltool

import (
	"context"
	"errors"
	"io"

	"github.com/so8t/so8t/plugins"
)

// Tool is one command. Run gets the arguments after its name; results go to out, everything
// else a person reads to errw.
type Tool struct {
	Name, Usage, Help string
	Run               func(ctx context.Context, args []string, in io.Reader, out, errw io.Writer) error
}

// UsageError is a command line that cannot be understood.
type UsageError struct{ Cause error }

func (e *UsageError) Error() string { return e.Cause.Error() }

// Unwrap gives the cause.
func (e *UsageError) Unwrap() error { return e.Cause }

// Usage marks the error for the command line, which does not know its type.
func (e *UsageError) Usage() bool { return true }

// streams are where a tool reads and writes.
type streams struct {
	in        io.Reader
	out, errw io.Writer
}

// command is a tool before it is wrapped: define declares its flags and returns what runs
// once they are read.
type command struct {
	name, usage, help string
	// operands is the number of arguments beside the flags.
	operands int
	define   func(f *flags) func(ctx context.Context, operands []string, s streams) error
}

// Tools returns the tools in the order in which help lists them.
func Tools() []Tool {
	var tools []Tool
	for _, c := range []command{inspect, tokenize, logits, generate, quantize, imatrixTool, kl, score} {
		tools = append(tools, Tool{Name: c.name, Usage: c.usage, Help: c.help, Run: c.run})
	}
	return tools
}

func (c command) run(ctx context.Context, args []string, in io.Reader, out, errw io.Writer) error {
	f := newFlags(c)
	do := c.define(f)
	operands, err := f.parse(args)
	if errors.Is(err, errHelp) {
		return f.help(out)
	}
	if err != nil {
		return &UsageError{err}
	}
	return do(ctx, operands, streams{in, out, errw})
}

// badInput classes an error about what the user gave. What has a class keeps it.
func badInput(err error) error {
	var typed *plugins.Error
	if err == nil || errors.As(err, &typed) {
		return err
	}
	return plugins.Errorf(plugins.BadInput, "%w", err)
}

// badInputf makes an error about what the user gave.
func badInputf(format string, args ...any) error {
	return plugins.Errorf(plugins.BadInput, format, args...)
}
