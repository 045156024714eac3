//go:build !amd64

package quant

import "testing"

// eachKernel runs a test with every implementation that this machine has.
func eachKernel(t *testing.T, f func(t *testing.T)) { f(t) }
