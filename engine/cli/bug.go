package cli

import (
	"fmt"
	"os"
	"runtime/debug"
)

// reportBug turns a panic of this program into exit code 70: what happened goes into a file, and
// the user is asked to send it. It is deferred by Main.
func (a *app) reportBug(code *int) {
	reason := recover()
	if reason == nil {
		return
	}
	*code = exitBug
	report := fmt.Sprintf("so8t %s\n%s\npanic: %v\n\n%s", readVersion().Version, a.commandLine, reason, debug.Stack())
	f, err := os.CreateTemp("", "so8t-bug-*.log")
	if err == nil {
		_, err = f.WriteString(report)
		if closeErr := f.Close(); err == nil {
			err = closeErr
		}
	}
	fmt.Fprintf(a.Err, "so8t: this is a bug of so8t: %v\n", reason)
	if err != nil {
		fmt.Fprint(a.Err, report)
		return
	}
	fmt.Fprintf(a.Err, "Please report it with the file %s; your runs are as they were, and the same command goes on.\n", f.Name())
}
