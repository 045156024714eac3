//go:build !linux

package engine_test

import "testing"

// noProcessLeft looks where /proc is.
func noProcessLeft(testing.TB, string) {}
