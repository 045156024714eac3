package modelfile

import (
	"os"
	"runtime"
	"testing"

	"github.com/so8t/so8t/stages/internal/backend/cpu"
	"github.com/so8t/so8t/stages/internal/phi3"
)

// A loaded model is its file, mapped, and no copy of its matrices in other numbers: what it takes beside the file is what
// the backend counts for activations, and little more.
func TestLoad_QuantisedModel_TakesNoMoreThanItsFile(t *testing.T) {
	path := inferenceModel(t).file(t, "Q4_K_M")
	info, err := os.Stat(path)
	if err != nil {
		t.Fatal(err)
	}
	m, err := Open(path)
	if err != nil {
		t.Fatal(err)
	}
	defer m.Close()
	be, err := cpu.Open(cpu.Options{Threads: 1, BLAS: "none"})
	if err != nil {
		t.Fatal(err)
	}
	defer be.Close()
	before := heap()
	w, err := phi3.Load(m.Config, m.Source, phi3.StoreNative)
	if err != nil {
		t.Fatal(err)
	}
	base, err := phi3.NewBase(be, w, 16)
	if err != nil {
		t.Fatal(err)
	}
	defer base.Release()
	limit := info.Size() / 100
	if runtime.GOOS == "windows" {
		limit += info.Size() // files are read there, not mapped
	}
	loaded := heap() - before
	if loaded > limit {
		t.Errorf("loading took %d bytes beside the file of %d", loaded, info.Size())
	}
	r, err := phi3.NewRunner(base, nil)
	if err != nil {
		t.Fatal(err)
	}
	defer r.Release()
	if _, err := r.LastLogits([]int32{1, 2, 3, 4, 5, 6, 7, 8}); err != nil {
		t.Fatal(err)
	}
	buffers := be.Counters().PeakBytes
	if total, limit := heap()-before, loaded+buffers+1<<20; total > limit {
		t.Errorf("running took %d bytes, %d of them the backend's buffers", total, buffers)
	}
	if buffers > info.Size()/2 { // activations of 8 tokens, and the rows of one matrix that are widened at a time
		t.Errorf("the backend's buffers took %d bytes; the file has %d", buffers, info.Size())
	}
	_, held := m.Held()
	if held > info.Size() {
		t.Errorf("the plan says %d bytes; the file has %d", held, info.Size())
	}
	runtime.KeepAlive(w)
}

func heap() int64 {
	runtime.GC()
	var s runtime.MemStats
	runtime.ReadMemStats(&s)
	return int64(s.HeapAlloc)
}
