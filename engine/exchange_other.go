//go:build !linux

package engine

import "errors"

// exchange swaps two names; this system has no call for it that every file system takes.
func exchange(string, string) error { return errors.ErrUnsupported }
