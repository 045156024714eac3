//go:build !linux

package state

// gone reports whether a process is there no more; here nobody needs to ask.
func gone(int, uint64) bool { return false }
