//go:build cgo && linux

package cuda_test

import (
	"bytes"
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"math"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"testing"

	"github.com/so8t/so8t/cuda"
	"github.com/so8t/so8t/cuda/cudatest"
)

const envRole = "CUDA_TEST_ROLE"

// A process loads the libraries once, so each case runs in a child: this test binary again, in a role.
func TestMain(m *testing.M) {
	if role, ok := roles[os.Getenv(envRole)]; ok {
		os.Stdout.WriteString(role())
		return
	}
	code := m.Run()
	if fakeDir != "" {
		os.RemoveAll(fakeDir)
	}
	os.Exit(code)
}

var (
	fakeDir string
	fake    = sync.OnceValues(func() (string, error) {
		dir, err := os.MkdirTemp("", "fakecard")
		if err != nil {
			return "", err
		}
		fakeDir = dir
		return cudatest.Build(context.Background(), dir, "testdata")
	})
)

func card(t *testing.T) string {
	t.Helper()
	path, err := fake()
	if errors.Is(err, cudatest.ErrNone) {
		t.Skip(err)
	}
	if err != nil {
		t.Fatal(err)
	}
	return path
}

// play runs a role with a fake card.
func play(t *testing.T, role string, env ...string) string {
	t.Helper()
	path := card(t)
	cmd := exec.Command(os.Args[0])
	cmd.Env = append(append(os.Environ(), envRole+"="+role, cuda.EnvDriver+"="+path, cuda.EnvBLAS+"="+path), env...)
	out, err := cmd.CombinedOutput()
	if err != nil {
		t.Fatalf("role %s: %v\n%s", role, err, out)
	}
	return string(out)
}

var roles = map[string]func() string{"open": openRole, "work": workRole, "failure": failureRole, "memory": memoryRole}

func openRole() string {
	d, err := cuda.Open(0)
	if err != nil {
		if !errors.Is(err, cuda.ErrUnavailable) {
			return "not ErrUnavailable: " + err.Error()
		}
		return err.Error()
	}
	defer d.Close()
	free, total, err := d.Memory()
	if err != nil || free >= total {
		return "memory is wrong"
	}
	i := d.Info()
	return fmt.Sprintf("opened %s %d.%d driver %d cuBLAS %d", i.Name, i.Major, i.Minor, i.Driver, i.BLASVersion)
}

func TestOpen(t *testing.T) {
	none := cuda.EnvDriver + "=" + filepath.Join(t.TempDir(), "libcuda.so.1")
	for _, c := range []struct{ name, env, want string }{
		{"device", "", "opened Fake 3060 8.6 driver 12040 cuBLAS 120103"},
		{"no driver", none, "cannot open shared object file"},
		{"no driver, what names it", none, cuda.EnvDriver},
		{"no cublas", cuda.EnvBLAS + "=/nowhere/libcublas.so", "cuBLAS was not found"},
		{"symbol missing", cuda.EnvBLAS + "=libm.so.6", "libm.so.6, lacks cublasCreate_v2"},
		{"no device", "FAKE_FAIL=cuInit:1:100", "cuInit -> 100 CUDA_ERROR_NO_DEVICE"},
		{"no permission", "FAKE_FAIL=cuInit:1:304", "readable and writable"},
		{"busy", "FAKE_FAIL=cuDevicePrimaryCtxRetain:1:46", "another process has the card"},
		{"full", "FAKE_MEMORY=1000000", "used up"},
		{"old driver", "FAKE_DRIVER=11080", "CUDA 11.8, which is too old"},
		{"old card", "FAKE_CAPABILITY=70", "capability is 7.0"},
		{"kernels refused", "FAKE_FAIL=cuModuleLoadData:1:222", "driver is too old for the kernels"},
	} {
		t.Run(c.name, func(t *testing.T) {
			if out := play(t, "open", c.env); !strings.Contains(out, c.want) {
				t.Errorf("got %q; want it to hold %q", out, c.want)
			}
		})
	}
}

// workRole uploads more than the staging memory holds, runs a kernel and a product, and compares.
func workRole() string {
	d, err := cuda.Open(0)
	if err != nil {
		return err.Error()
	}
	const n = 6 << 20
	x := make([]float32, n)
	for i := range x {
		x[i] = float32(i % 1000)
	}
	p, err := d.Alloc(4 * n)
	if err != nil {
		return err.Error()
	}
	d.Upload(p, bytesOf(x))
	d.StartTiming()
	d.Launch("axpby", cuda.Grid{X: 64, Block: 256}, p, float32(2), p, float32(0), cuda.Pointer(0), n)
	// [[0 2] [4 6]] · [[0 2] [4 6]]ᵀ into the numbers from 8 on
	d.Gemm(cuda.Product{M: 2, N: 2, K: 2, Alpha: 1, A: cuda.Matrix{At: p, LD: 2}, B: cuda.Matrix{At: p, LD: 2, Trans: true}, C: p + 32, LDC: 2})
	times, err := d.StopTiming()
	if err != nil || times["gemm"].Launches != 1 || times["axpby"].Total == 0 {
		return fmt.Sprint("timing: ", times, err)
	}
	got := make([]byte, 4*n)
	d.Download(got, p)
	for i, want := range []float32{4, 12, 12, 52} {
		if v := floatAt(got, 8+i); v != want {
			return fmt.Sprintf("product %d is %g, want %g", i, v, want)
		}
	}
	for i := 12; i < n; i++ {
		if floatAt(got, i) != 2*x[i] {
			return fmt.Sprintf("number %d is %g", i, floatAt(got, i))
		}
	}
	d.Free(p)
	if err := errors.Join(d.Sync(), d.Close()); err != nil {
		return err.Error()
	}
	return "well"
}

func bytesOf(x []float32) []byte {
	var b bytes.Buffer
	_ = binary.Write(&b, binary.LittleEndian, x)
	return b.Bytes()
}

func floatAt(b []byte, i int) float32 {
	return math.Float32frombits(binary.LittleEndian.Uint32(b[4*i:]))
}

func TestWorkGoesThroughTheCard(t *testing.T) {
	if out := play(t, "work"); out != "well" {
		t.Error(out)
	}
}

// failureRole loses the card at the third launch: what comes after is not tried, and Close returns.
func failureRole() string {
	d, err := cuda.Open(0)
	if err != nil {
		return err.Error()
	}
	p, err := d.Alloc(1024)
	if err != nil {
		return err.Error()
	}
	for i := range 5 {
		d.Launch("fill", cuda.Grid{X: 1, Block: 32}, p, float32(i), 256)
	}
	b := make([]byte, 4)
	d.Download(b, p)
	_, allocErr := d.Alloc(10)
	return fmt.Sprint(d.Err(), "; ", allocErr == d.Err(), "; ", d.Close() == d.Err())
}

func TestFirstFailureStays(t *testing.T) {
	out := play(t, "failure", "FAKE_FAIL=cuLaunchKernel:3:719")
	if !strings.Contains(out, "launching fill: cuLaunchKernel -> 719") || !strings.Contains(out, "Xid") || !strings.HasSuffix(out, "; true; true") {
		t.Error(out)
	}
}

func memoryRole() string {
	d, err := cuda.Open(0)
	if err != nil {
		return err.Error()
	}
	defer d.Close()
	_, err = d.Alloc(2 << 30)
	p, again := d.Alloc(1 << 20)
	d.Launch("scale_by", cuda.Grid{X: 1, Block: 32}, p)
	return fmt.Sprint(errors.Is(err, cuda.ErrOutOfMemory), again, d.Sync())
}

// Too large a request leaves the card usable; a launch with the wrong parameters is found by the fake card.
func TestOutOfMemoryIsNotTheEnd(t *testing.T) {
	out := play(t, "memory")
	if !strings.Contains(out, "true <nil> launching scale_by: cuLaunchKernel -> 1 CUDA_ERROR_INVALID_VALUE") {
		t.Error(out)
	}
}
