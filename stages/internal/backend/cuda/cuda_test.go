package cuda_test

import (
	"context"
	"errors"
	"fmt"
	"os"
	"testing"

	driver "github.com/so8t/so8t/cuda"
	"github.com/so8t/so8t/cuda/cudatest"
	"github.com/so8t/so8t/stages/internal/backend"
	"github.com/so8t/so8t/stages/internal/backend/backendtest"
	"github.com/so8t/so8t/stages/internal/backend/cpu"
	"github.com/so8t/so8t/stages/internal/backend/cuda"
)

// noCard says why there is no card to test with.
var noCard error

// TestMain makes the fake card once: a process loads the driver once. With SO8T_TEST_CARD set the tests run on the machine's own card.
func TestMain(m *testing.M) {
	if os.Getenv(cudatest.EnvReal) != "" {
		os.Exit(m.Run())
	}
	dir, err := os.MkdirTemp("", "fakecard")
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
	path, err := cudatest.Build(context.Background(), dir, "../../../../cuda/testdata")
	if err != nil && !errors.Is(err, cudatest.ErrNone) {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
	noCard = err
	os.Setenv(driver.EnvDriver, path)
	os.Setenv(driver.EnvBLAS, path)
	code := m.Run()
	os.RemoveAll(dir)
	os.Exit(code)
}

func open(o cuda.Options) func(testing.TB) backend.Backend {
	return func(t testing.TB) backend.Backend {
		t.Helper()
		if noCard != nil {
			t.Skip(noCard)
		}
		be, err := cuda.Open(o)
		if errors.Is(err, driver.ErrUnavailable) && os.Getenv(driver.EnvDriver) == "" {
			t.Skip(err)
		}
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
