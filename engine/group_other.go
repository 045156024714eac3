//go:build !unix

package engine

import "os/exec"

// ownGroup does nothing: a program that is killed here is killed alone.
func ownGroup(*exec.Cmd) {}
