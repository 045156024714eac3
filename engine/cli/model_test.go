package cli

import (
	"context"
	"errors"
	"fmt"
	"io"
	"slices"
	"testing"

	"github.com/so8t/so8t/plugins"
)

type wrongUsage struct{}

func (wrongUsage) Error() string { return "--x: what is that" }
func (wrongUsage) Usage() bool   { return true }

func TestModel_ErrorsOfToolsChooseTheExitCode(t *testing.T) {
	for _, c := range []struct {
		err  error
		want int
	}{
		{nil, exitDone},
		{fmt.Errorf("reading: %w", wrongUsage{}), exitUsage},
		{plugins.Errorf(plugins.BadInput, "no model"), exitUsage},
		{plugins.Errorf(plugins.Unavailable, "no GPU"), exitResource},
		{fmt.Errorf("writing: %w", context.Canceled), 130},
		{errors.New("anything else"), exitFailed},
	} {
		tool := Tool{Name: "t", Usage: "PATH", Help: "a tool", Run: func(context.Context, []string, Streams) error { return c.err }}
		if got := Main([]string{"model", "t"}, Program{Tools: []Tool{tool}}, Streams{Out: io.Discard, Err: io.Discard}); got != c.want {
			t.Errorf("%v: exit %d, want %d", c.err, got, c.want)
		}
	}
}

// A tool reads its own flags, --help among them, and never sees the project directory.
func TestModel_ToolsGetTheirArguments(t *testing.T) {
	for _, args := range [][]string{{"model", "t", "p", "--help", "-x", "1"}, {"--dir", "d", "model", "t", "p", "--help", "-x", "1"}, {"--dir=d", "model", "t", "p", "--help", "-x", "1"}} {
		var got []string
		tool := Tool{Name: "t", Run: func(_ context.Context, args []string, _ Streams) error {
			got = args
			return nil
		}}
		if code := Main(args, Program{Tools: []Tool{tool}}, Streams{Out: io.Discard, Err: io.Discard}); code != exitDone {
			t.Errorf("%v: exit %d", args, code)
		}
		if !slices.Equal(got, []string{"p", "--help", "-x", "1"}) {
			t.Errorf("%v: the tool got %v", args, got)
		}
	}
}
