package cpu_test

import (
	"strings"
	"testing"

	"github.com/so8t/so8t/stages/internal/backend/cpu"
)

func TestOpenSaysWhatIsMissing(t *testing.T) {
	for _, c := range []struct {
		o    cpu.Options
		want string
	}{
		{cpu.Options{BLAS: "/nowhere/libblas.so"}, `BLAS "/nowhere/libblas.so"`},
		{cpu.Options{BLAS: "none", Kernels: "mmx"}, `kernels "mmx"`},
	} {
		if _, err := cpu.Open(c.o); err == nil || !strings.Contains(err.Error(), c.want) {
			t.Errorf("%+v: error %v, want one about %s", c.o, err, c.want)
		}
	}
}

func TestEnvironmentChoosesKernelsAndLibrary(t *testing.T) {
	t.Setenv("SO8T_KERNELS", "go")
	t.Setenv("SO8T_BLAS", "none")
	be, err := cpu.Open(cpu.Options{Threads: 2})
	if err != nil {
		t.Fatal(err)
	}
	defer be.Close()
	if i := be.Info(); i.Device != "go" || i.BLAS != "own" || i.Threads != 2 || i.Bits != 32 || i.Name != "cpu" {
		t.Errorf("info is %+v", i)
	}
}

func TestFirstFailureStays(t *testing.T) {
	be := open(cpu.Options{BLAS: "none", Threads: 2})(t)
	a, b := be.NewBuffer(4), be.NewBuffer(5)
	be.Axpby(a, 1, b, 0, nil)
	first := be.Err()
	if first == nil || !strings.Contains(first.Error(), "a sum") {
		t.Fatalf("adding 5 numbers to 4 gave error %v", first)
	}
	be.Fill(a, 3)
	be.Upload(b, make([]float32, 4))
	if be.Err() != first {
		t.Errorf("a later failure replaced the first: %v", be.Err())
	}
}

func TestViewSharesMemoryAndScopeReusesIt(t *testing.T) {
	be := open(cpu.Options{BLAS: "none"})(t)
	b := be.NewBuffer(10)
	be.Fill(be.View(b, 3, 2), 7)
	got := make([]float32, 10)
	be.Download(got, b)
	for i, v := range got {
		if want := float32(0); (i == 3 || i == 4) && v != 7 || i != 3 && i != 4 && v != want {
			t.Errorf("element %d is %g", i, v)
		}
	}
	sc := be.NewScope()
	for range 5 {
		x := sc.Alloc(1000)
		sc.Alloc(1001)
		sc.Free(x)
		sc.Free(x) // a second time does no harm
		sc.Alloc(990)
		sc.End()
	}
	if n := be.Counters().Allocations; n != 3 {
		t.Errorf("%d allocations, want one for the buffer and two for the scope", n)
	}
}
