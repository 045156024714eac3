//go:build !amd64

package engine_test

import (
	"errors"
	"syscall"
)

const canRefuse = false

func (c *call) refuse() error            { return errors.ErrUnsupported }
func (c *call) fail(syscall.Errno) error { return errors.ErrUnsupported }
