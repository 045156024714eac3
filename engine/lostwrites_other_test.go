//go:build !linux

package engine_test

// traceMain is of Linux only, and so are the tests that start it.
func traceMain([]string) int { return 70 }
