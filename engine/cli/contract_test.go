package cli

import (
	"slices"
	"strings"
	"testing"

	"github.com/spf13/cobra"
)

// contract is what other people's scripts rely on: commands with their flags. Add to it freely.
const contract = `
init --template
validate --param --param-file --describe --json
schema
plan --param --param-file --only --from --until --force --force-all --json --exit-code
run --param --param-file --only --from --until --force --force-all --jobs --keep-going --dry-run --note --verify --json
resume --accept-changes
rerun --with --downstream
runs --workflow --state --limit --json
status --watch --json --timeline
logs --run --attempt --follow --tail
explain --run --json
metrics --run --format
diff --json
artifacts --json
open
graph --run --format --param --describe
plugins list --json --describe
plugins describe --json
plugins test --json
check --repair --json
doctor --json
version --json
`

func TestContract_CommandsAndFlags(t *testing.T) {
	root := (&app{}).root()
	for line := range strings.Lines(strings.TrimSpace(contract)) {
		words := strings.Fields(line)
		at := slices.IndexFunc(words, func(w string) bool { return strings.HasPrefix(w, "--") })
		if at < 0 {
			at = len(words)
		}
		c, rest, err := root.Find(words[:at])
		if err != nil || len(rest) > 0 || c == root {
			t.Errorf("there is no command %q", words[:at])
			continue
		}
		for _, flag := range append(words[at:], "--dir") {
			name := strings.TrimPrefix(flag, "--")
			if c.Flags().Lookup(name) == nil && c.InheritedFlags().Lookup(name) == nil {
				t.Errorf("%s has no flag --%s", c.CommandPath(), name)
			}
		}
	}
}

// TestHelp_EveryCommandShowsHow: each has a sentence and an example that calls it.
func TestHelp_EveryCommandShowsHow(t *testing.T) {
	var look func(c *cobra.Command)
	look = func(c *cobra.Command) {
		for _, sub := range c.Commands() {
			if c.Parent() == nil || c.Name() != "model" { // whose tools bring their own help
				look(sub)
			}
		}
		if c.HasSubCommands() || c.Name() == "help" || c.Name() == "model" {
			return
		}
		if c.Short == "" || !strings.Contains(c.Example, c.CommandPath()) {
			t.Errorf("%s: short %q, example %q", c.CommandPath(), c.Short, c.Example)
		}
	}
	look((&app{}).root())
}
