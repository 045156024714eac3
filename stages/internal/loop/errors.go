package loop

import (
	"errors"

	"github.com/so8t/so8t/plugins"
	"github.com/so8t/so8t/stages/internal/backend"
	"github.com/so8t/so8t/stages/internal/phi3"
)

// Typed gives an error of the loop or of its model the class that the engine acts on.
func Typed(err error) error {
	var diverged *DivergedError
	var input *phi3.InputError
	switch {
	case errors.Is(err, ErrStopped):
		return plugins.Errorf(plugins.Cancelled, "%w", err)
	case errors.As(err, &diverged):
		return plugins.Errorf(plugins.BadInput, "%w: lower lr", err)
	case errors.Is(err, backend.ErrOutOfMemory):
		return plugins.Errorf(plugins.OutOfMemory, "%w: a smaller batch, a shorter length, recompute: true or another storage needs less", err)
	case errors.As(err, &input), errors.Is(err, ErrOtherRun), errors.Is(err, ErrSetup):
		return plugins.Errorf(plugins.BadInput, "%w", err)
	}
	return err
}
