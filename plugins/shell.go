package plugins

import (
	"context"
	"strings"
)

// Shell is Command for a text in the language of the system's shell. A line that fails ends it: what
// failed half-way must not succeed.
func Shell(ctx context.Context, text string) *Cmd { return shell(ctx, text) }

// cmdLine is the command line for the shell of Windows. It takes what stands between the outer quotes
// as it is; each argument quoted on its own, as other programs read them, it would misunderstand.
func cmdLine(text string) string {
	lines := strings.FieldsFunc(text, func(r rune) bool { return r == '\n' || r == '\r' })
	return `cmd /d /s /c "` + strings.Join(lines, " && ") + `"`
}
