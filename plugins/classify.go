package plugins

import (
	"context"
	"errors"
	"io/fs"
	"syscall"
)

// classify maps an untyped error to a class by what it wraps.
func classify(err error) Code {
	switch {
	case errors.Is(err, context.Canceled):
		return Cancelled
	case errors.Is(err, context.DeadlineExceeded):
		return Timeout
	case errors.Is(err, syscall.ENOSPC):
		return OutOfDisk
	case errors.Is(err, syscall.ENOMEM):
		return OutOfMemory
	case errors.Is(err, fs.ErrNotExist), errors.Is(err, fs.ErrPermission):
		return BadInput
	}
	return Internal
}
