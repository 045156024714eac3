package modeltool

import (
	"flag"
	"fmt"
	"io"
	"strings"
)

var errHelp = flag.ErrHelp

// flags is a flag set whose flags may also stand behind the operands.
type flags struct {
	*flag.FlagSet
	command command
}

func newFlags(c command) *flags {
	f := &flags{flag.NewFlagSet(c.name, flag.ContinueOnError), c}
	f.SetOutput(io.Discard) // the caller reports errors, help prints the rest
	return f
}

// parse reads the flags and returns the operands, whose number it checks.
func (f *flags) parse(args []string) ([]string, error) {
	var options, operands []string
	for i := 0; i < len(args); i++ {
		arg := args[i]
		if arg == "--" {
			operands = append(operands, args[i+1:]...)
			break
		}
		if len(arg) < 2 || arg[0] != '-' {
			operands = append(operands, arg)
			continue
		}
		options = append(options, arg)
		if f.takesNext(arg) && i+1 < len(args) {
			i++
			options = append(options, args[i])
		}
	}
	if err := f.Parse(options); err != nil {
		return nil, err
	}
	if len(operands) != f.command.operands {
		return nil, fmt.Errorf("%d arguments, want %d: so8t model %s %s", len(operands), f.command.operands, f.command.name, f.command.usage)
	}
	return operands, nil
}

// takesNext reports whether the value of a flag is the next argument.
func (f *flags) takesNext(arg string) bool {
	name := strings.TrimPrefix(strings.TrimPrefix(arg, "-"), "-")
	known := f.Lookup(name)
	if known == nil { // unknown, or name=value
		return false
	}
	boolean, ok := known.Value.(interface{ IsBoolFlag() bool })
	return !ok || !boolean.IsBoolFlag()
}

// given reports whether a flag was set, whatever to.
func (f *flags) given(name string) bool {
	found := false
	f.Visit(func(set *flag.Flag) { found = found || set.Name == name })
	return found
}

// need returns a usage error that names the first of the flags that was not given.
func (f *flags) need(names ...string) error {
	for _, name := range names {
		if !f.given(name) {
			return &UsageError{fmt.Errorf("--%s is missing: so8t model %s %s", name, f.command.name, f.command.usage)}
		}
	}
	return nil
}

func (f *flags) help(out io.Writer) error {
	_, err := fmt.Fprintf(out, "%s\n\nUsage:\n  so8t model %s %s\n", f.command.help, f.command.name, f.command.usage)
	f.VisitAll(func(each *flag.Flag) {
		if err != nil {
			return
		}
		value, usage := flag.UnquoteUsage(each)
		initial := ""
		if each.DefValue != "" && each.DefValue != "false" {
			initial = fmt.Sprintf(" (default %s)", each.DefValue)
		}
		_, err = fmt.Fprintf(out, "  --%-22s %s%s\n", strings.TrimSpace(each.Name+" "+value), usage, initial)
	})
	return err
}

// usagef makes a usage error.
func usagef(format string, args ...any) error { return &UsageError{fmt.Errorf(format, args...)} }
