package cuda

import (
	"fmt"

	driver "github.com/so8t/so8t/cuda"
	"github.com/so8t/so8t/stages/internal/backend"
)

// Timed runs f and returns how long each kernel took on the card meanwhile, products under "gemm".
func Timed(be backend.Backend, f func() error) (map[string]driver.Time, error) {
	c, ok := be.(*card)
	if !ok || c.dev == nil {
		return nil, fmt.Errorf("timing kernels: %s is not a card", be.Info().Name)
	}
	c.dev.StartTiming()
	err := f()
	times, stopErr := c.dev.StopTiming()
	if err == nil {
		err = stopErr
	}
	return times, err
}
