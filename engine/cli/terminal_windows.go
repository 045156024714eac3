package cli

import (
	"os"

	"golang.org/x/sys/windows"
)

// prepareTerminal makes a console act on escape sequences; false when it is too old to.
func prepareTerminal(f *os.File) bool {
	handle := windows.Handle(f.Fd())
	var mode uint32
	if windows.GetConsoleMode(handle, &mode) != nil {
		return false
	}
	const wanted = windows.ENABLE_PROCESSED_OUTPUT | windows.ENABLE_VIRTUAL_TERMINAL_PROCESSING
	return mode&wanted == wanted || windows.SetConsoleMode(handle, mode|wanted) == nil
}
