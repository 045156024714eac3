//go:build !race || !linux

package cli_test

import "os"

const raceOptions = ""

func exit(code int) { os.Exit(code) }
