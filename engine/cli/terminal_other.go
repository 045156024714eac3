//go:build !windows

package cli

import "os"

// prepareTerminal has nothing to do: terminals act on escape sequences.
func prepareTerminal(*os.File) bool { return true }
