package cuda_test

import (
	"testing"

	driver "github.com/so8t/so8t/cuda"
	"github.com/so8t/so8t/cuda/cudatest"
	"github.com/so8t/so8t/stages/internal/backend"
	"github.com/so8t/so8t/stages/internal/backend/backendtest"
	"github.com/so8t/so8t/stages/internal/backend/cpu"
	"github.com/so8t/so8t/stages/internal/backend/cuda"
)

func open(o cuda.Options) func(testing.TB) backend.Backend {
	return func(t testing.TB) backend.Backend {
		t.Helper()
		if err := cudatest.Use(t, "../../../../cuda/testdata", driver.EnvDriver, driver.EnvBLAS); err != nil {
			t.Skip(err)
		}
		be, err := cuda.Open(o)
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() {
			if err := be.Close(); err != nil {
				t.Error(err)
			}
		})
		return be
	}
}

// Allowed differences to the float64 reference, of the largest number of a result. Single rounds as the CPU does. Mixed rounds what it
// multiplies to 8 bits (bf16: 2e-3 a factor) or 11 (tf32); errors
// of a sum partly cancel.
const (
	singleLimit = 2e-5
	mixedLimit  = 2e-2
)

func TestConformance(t *testing.T) {
	ref := backendtest.NewReference(cpu.OpenReference())
	t.Run("single", func(t *testing.T) {
		backendtest.Conform(t, open(cuda.Options{Precision: cuda.Single}), ref, singleLimit)
	})
	t.Run("mixed", func(t *testing.T) { backendtest.Conform(t, open(cuda.Options{}), ref, mixedLimit) })
}
