// Package pytorchtest runs PyTorch beside our own code in benchmarks: the Python environment, and a process that answers one request at a
// time, so that both sides take turns on the same machine.
package pytorchtest

import (
	"context"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"
)

// packages are what the environment holds, pinned: another version is another contestant.
var packages = []string{"torch==2.4.1", "transformers==4.46.3", "peft==0.13.2", "tiktoken==0.14.0", "numpy<2"}

// Python is an interpreter that has PyTorch, transformers and PEFT: the one that SO8T_BENCH_PYTHON names, or that of a virtual environment
// in the user's cache folder, which is made when it is not there. The benchmark is skipped, with the reason, when neither can be had.
func Python(tb testing.TB) string {
	tb.Helper()
	python, err := find(tb.Context())
	if err != nil {
		tb.Skipf("no PyTorch to compare with: %v", err)
	}
	return python
}

func find(ctx context.Context) (string, error) {
	if python := os.Getenv("SO8T_BENCH_PYTHON"); python != "" {
		return python, usable(ctx, python)
	}
	cache, err := os.UserCacheDir()
	if err != nil {
		return "", err
	}
	dir := filepath.Join(cache, "so8t-bench")
	python := filepath.Join(dir, "bin", "python")
	if usable(ctx, python) == nil {
		return python, nil
	}
	if err := run(ctx, "python3", "-m", "venv", dir); err != nil {
		return "", err
	}
	if err := run(ctx, python, append([]string{"-m", "pip", "install", "--quiet"}, packages...)...); err != nil {
		return "", err
	}
	return python, usable(ctx, python)
}

// usable reports why an interpreter cannot import what is compared with.
func usable(ctx context.Context, python string) error {
	return run(ctx, python, "-c", "import torch, transformers, peft")
}

func run(ctx context.Context, name string, args ...string) error {
	c := exec.CommandContext(ctx, name, args...)
	c.Env = Environment()
	if out, err := c.CombinedOutput(); err != nil {
		lines := strings.Split(strings.TrimSpace(string(out)), "\n")
		return fmt.Errorf("running %s %s: %w: %s", name, strings.Join(args, " "), err, lines[len(lines)-1])
	}
	return nil
}

// crippling are variables that make a BLAS library believe in another processor or cache; neither side shall suffer them.
var crippling = []string{"OPENBLAS_CORETYPE", "OPENBLAS_L2_SIZE", "OPENBLAS_NUM_THREADS", "OMP_NUM_THREADS", "MKL_NUM_THREADS", "MKL_ENABLE_INSTRUCTIONS"}

// Environment is the process's without what would cripple PyTorch.
func Environment() []string {
	return slices.DeleteFunc(os.Environ(), func(v string) bool {
		name, _, _ := strings.Cut(v, "=")
		return slices.Contains(crippling, name)
	})
}
