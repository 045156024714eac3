// Package cudatest makes a card for tests: a library that stands in for libcuda and cuBLAS, with the real kernels compiled for the host.
package cudatest

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"sync"
	"testing"
)

// EnvReal, when set, makes tests use the machine's card instead of the fake one.
const EnvReal = "SO8T_TEST_CARD"

// ErrNone is a machine that the fake card cannot be made on.
var ErrNone = errors.New("no fake card")

// Build compiles the fake card into dir and returns the library's path, for cuda.EnvDriver and cuda.EnvBLAS. sources is the folder
// cuda/testdata as seen from the test.
func Build(ctx context.Context, dir, sources string) (string, error) {
	if runtime.GOOS != "linux" {
		return "", fmt.Errorf("%w: it is made for Linux only", ErrNone)
	}
	compiler, err := findCompiler()
	if err != nil {
		return "", fmt.Errorf("%w: %w", ErrNone, err)
	}
	path := filepath.Join(dir, "libfakecard.so")
	cmd := exec.CommandContext(ctx, compiler, "-std=c++17", "-O1", "-fPIC", "-shared", "-U_FORTIFY_SOURCE", "-Wno-unknown-pragmas", "-o", path,
		filepath.Join(sources, "fake.cpp"))
	if out, err := cmd.CombinedOutput(); err != nil {
		return "", fmt.Errorf("compiling the kernels for the host: %w\n%s", err, out)
	}
	return path, nil
}

var fake struct {
	once sync.Once
	err  error
}

// Use lets cuda.Open open the fake card in this process from now on, the machine's own with EnvReal. The error is ErrNone where there is
// none. The environment variables are those of package cuda.
func Use(t testing.TB, sources, envDriver, envBLAS string) error {
	t.Helper()
	if os.Getenv(EnvReal) != "" {
		return nil
	}
	fake.once.Do(func() {
		var path string
		// The first test's folder will do: the library is loaded once, by that test.
		if path, fake.err = Build(t.Context(), t.TempDir(), sources); fake.err == nil {
			fake.err = errors.Join(os.Setenv(envDriver, path), os.Setenv(envBLAS, path))
		}
	})
	if fake.err != nil && !errors.Is(fake.err, ErrNone) {
		t.Fatal(fake.err)
	}
	return fake.err
}

func findCompiler() (string, error) {
	if name := os.Getenv("CXX"); name != "" {
		return exec.LookPath(name)
	}
	path, err := exec.LookPath("c++")
	if err != nil {
		return exec.LookPath("clang++")
	}
	return path, nil
}
