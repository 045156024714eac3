//go:build cgo && linux

package cuda

import (
	"errors"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
)

// A process loads the libraries once, so each case runs in a child: this test binary again,
// in the role that main of TestMain plays.
func TestMain(m *testing.M) {
	if os.Getenv("CUDA_TEST_ROLE") == "open" {
		os.Stdout.WriteString(openReport())
		return
	}
	os.Exit(m.Run())
}

func openReport() string {
	d, err := Open(0)
	if err != nil {
		if !errors.Is(err, ErrUnavailable) {
			return "not ErrUnavailable: " + err.Error()
		}
		return err.Error()
	}
	defer d.Close()
	free, total, err := d.Memory()
	if err != nil || free >= total {
		return "memory is wrong"
	}
	return "opened " + d.Info().Name
}

func TestOpen(t *testing.T) {
	whole := fakeLibrary(t)
	partial := fakeLibrary(t, "-DINCOMPLETE")
	none := filepath.Join(t.TempDir(), "libcuda.so.1")
	for _, c := range []struct {
		name, driver, blas, env, want string
	}{
		{"device", whole, whole, "", "opened Fake 3060"},
		{"no driver", none, whole, "", "cannot open shared object file"},
		{"no cublas", whole, none, "", "cannot open shared object file"},
		{"symbol missing", whole, partial, "", "cublasCreate_v2"},
		{"no device", whole, whole, "FAKE_NO_DEVICE=1", "cuInit -> 100 CUDA_ERROR_NO_DEVICE"},
	} {
		t.Run(c.name, func(t *testing.T) {
			cmd := exec.Command(os.Args[0])
			cmd.Env = append(os.Environ(), "CUDA_TEST_ROLE=open", EnvDriver+"="+c.driver, EnvBLAS+"="+c.blas, c.env)
			out, err := cmd.CombinedOutput()
			if err != nil || !strings.Contains(string(out), c.want) {
				t.Errorf("got %q, %v; want it to hold %q", out, err, c.want)
			}
		})
	}
}

// fakeLibrary compiles testdata/fake.c as a shared library.
func fakeLibrary(t *testing.T, flags ...string) string {
	t.Helper()
	path := filepath.Join(t.TempDir(), "libfake.so")
	args := append([]string{"-shared", "-fPIC", "-o", path, "testdata/fake.c"}, flags...)
	if out, err := exec.Command("cc", args...).CombinedOutput(); err != nil {
		t.Fatalf("compiling the fake library: %v\n%s", err, out)
	}
	return path
}
