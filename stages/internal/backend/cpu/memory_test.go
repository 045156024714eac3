package cpu

import (
	"testing"

	"github.com/so8t/so8t/stages/internal/backend"
)

// Batches of other sizes do not pile up memory: what is held stays near what was in use at
// once, and a size that repeats takes nothing new.
func TestMemoryHeldIsNearWhatIsUsed(t *testing.T) {
	be, err := Open(Options{Threads: 1, BLAS: "none", Kernels: "go"})
	if err != nil {
		t.Fatal(err)
	}
	defer be.Close()
	sc := be.NewScope()
	step := func(rows int) (bytes int64) {
		for _, width := range []int{16, 96, 64, 256, 16, 48} {
			bytes += 4 * int64(sc.Alloc(rows*width).Len())
		}
		sc.End()
		return bytes
	}
	most := int64(0)
	for i := range 300 {
		most = max(most, step(200+i*7919%600))
	}
	if held := be.Counters().PeakBytes; held > most*5/4 {
		t.Errorf("%d bytes were held, %d in use at once", held, most)
	}
	step(500)
	before := be.Counters().Allocations
	step(500)
	if n := be.Counters().Allocations - before; n != 0 {
		t.Errorf("the same step again took %d new buffers", n)
	}
}

// A dry backend counts what the real one takes, and computes nothing. Which kernels there are decides what scratch is needed.
func TestDryCountsTheSame(t *testing.T) {
	for _, kernels := range []string{"go", ""} {
		t.Setenv("SO8T_KERNELS", kernels)
		compareDry(t)
	}
}

func compareDry(t *testing.T) {
	t.Helper()
	real, err := Open(Options{Threads: 1, BLAS: "none"})
	if err != nil {
		t.Fatal(err)
	}
	defer real.Close()
	dry := OpenDry()
	defer dry.Close()
	var peaks []int64
	for _, be := range []backend.Backend{real, dry} {
		d := backend.WeightData{Kind: backend.Int8, Rows: 1500, Cols: 64}
		if be == real {
			d.Int8, d.Scales = make([]int8, 1500*64), make([]float32, 1500)
		}
		w, sc := be.NewWeight(d), be.NewScope()
		x, y := sc.Alloc(10*64), sc.Alloc(10*1500)
		be.Linear(y, x, w, 10, 0)
		be.CrossEntropy(backend.CrossEntropyArgs{Loss: sc.Alloc(1), GH: sc.Alloc(10 * 64), H: be.View(x, 0, 640), W: be.WeightRows(w, 0, 1400),
			Targets: sc.AllocInts([]int32{1, 2, 3, -1, 5, 6, 7, 8, -1, 10}), Scale: 1})
		sc.End()
		if err := be.Err(); err != nil {
			t.Fatal(err)
		}
		peaks = append(peaks, be.Counters().PeakBytes)
	}
	if peaks[0] != peaks[1] || peaks[0] == 0 {
		t.Errorf("really %d bytes, dry %d", peaks[0], peaks[1])
	}
}
