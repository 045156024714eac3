package cuda_test

import (
	"errors"
	"strings"
	"testing"

	"github.com/so8t/so8t/stages/internal/backend"
	"github.com/so8t/so8t/stages/internal/backend/cuda"
)

// step is a little of everything that takes memory: activations, widened weights, a loss.
func step(be backend.Backend, w backend.Weight, rows int) {
	sc := be.NewScope()
	defer sc.End()
	x, y := sc.Alloc(rows*w.Cols()), sc.Alloc(rows*w.Rows())
	be.Fill(x, 0.01)
	be.Linear(y, x, w, rows, 0)
	sc.Free(y)
	targets := make([]int32, rows)
	loss, gh := sc.Alloc(1), sc.Alloc(rows*w.Cols())
	be.CrossEntropy(backend.CrossEntropyArgs{Loss: loss, GH: gh, H: x, W: w, Targets: sc.AllocInts(targets), Scale: 1})
	be.SumSquares(loss, gh)
	be.Download(make([]float32, 1), loss)
}

func int8Weight(rows, cols int) backend.WeightData {
	return backend.WeightData{Kind: backend.Int8, Rows: rows, Cols: cols, Int8: make([]int8, rows*cols), Scales: make([]float32, rows)}
}

// What a dry run counts is enough for the real steps: they take nothing more from the card, and copy the batch in and the loss out.
func TestPlanIsEnough(t *testing.T) {
	dry := cuda.OpenDry(cuda.Mixed)
	step(dry, dry.NewWeight(backend.WeightData{Kind: backend.Int8, Rows: 700, Cols: 96}), 40)
	plan := dry.Counters().PeakBytes
	if plan < 4*700*40 {
		t.Fatalf("the plan is %d bytes", plan)
	}
	plan += 700*96 + 4*700 // the weight
	limit := plan + plan/16
	be := open(cuda.Options{Limit: limit, Reserve: limit})(t)
	w := be.NewWeight(int8Weight(700, 96))
	for range 3 {
		before := be.Counters()
		step(be, w, 40)
		if err := be.Err(); err != nil {
			t.Fatal(err)
		}
		after := be.Counters()
		if n := after.Allocations - before.Allocations; n != 0 {
			t.Errorf("a step took memory from the card %d times", n)
		}
		if n := after.DownloadBytes - before.DownloadBytes; n != 4 {
			t.Errorf("a step copied %d bytes to the host, want the loss", n)
		}
		if n := after.UploadedBytes - before.UploadedBytes; n != 3*4*40 {
			t.Errorf("a step copied %d bytes to the card, want the targets and their rows", n)
		}
	}
}

// Out of memory is a failure that the training loop can recover from with a smaller batch.
func TestOutOfMemoryAndRecover(t *testing.T) {
	be := open(cuda.Options{Limit: 1 << 20})(t)
	w := be.NewWeight(int8Weight(700, 96))
	step(be, w, 4000)
	if err := be.Err(); !errors.Is(err, backend.ErrOutOfMemory) || !strings.Contains(err.Error(), "limit of 1048576") {
		t.Fatalf("the error is %v", err)
	}
	if !be.Recover() {
		t.Fatalf("no recovery: %v", be.Err())
	}
	step(be, w, 40)
	if err := be.Err(); err != nil {
		t.Error(err)
	}
	sc := be.NewScope()
	lost := sc.Alloc(10 << 20)
	be.Recover()
	be.Fill(lost, 1)
	if err := be.Err(); err == nil || errors.Is(err, backend.ErrOutOfMemory) {
		t.Errorf("a buffer without memory was filled: %v", err)
	}
}

// Memory is given back: many rounds of many sizes stay near what is in use at once.
func TestMemoryHeldIsNearWhatIsUsed(t *testing.T) {
	be := cuda.OpenDry(cuda.Mixed)
	sc := be.NewScope()
	for i := range 300 {
		rows := 200 + i*7919%600
		for _, width := range []int{16, 96, 64, 256, 16, 48} {
			sc.Alloc(rows * width)
		}
		kept := sc.Alloc(1000)
		sc.Free(kept)
		sc.Free(kept) // a second time does no harm
		sc.End()
	}
	c := be.Counters()
	if c.Allocations != 1 || c.Bytes != 0 {
		t.Errorf("%d chunks were taken, %d bytes are still in use", c.Allocations, c.Bytes)
	}
}

func TestFirstFailureStays(t *testing.T) {
	be := open(cuda.Options{})(t)
	a, b := be.NewBuffer(4), be.NewBuffer(5)
	be.Axpby(a, 1, b, 0, nil)
	first := be.Err()
	if first == nil || !strings.Contains(first.Error(), "a sum") {
		t.Fatalf("adding 5 numbers to 4 gave error %v", first)
	}
	be.Upload(b, make([]float32, 4))
	if be.Err() != first || be.Recover() {
		t.Errorf("a later failure or recovery replaced the first: %v", be.Err())
	}
}

func TestViewSharesMemory(t *testing.T) {
	be := open(cuda.Options{})(t)
	b := be.NewBuffer(10)
	be.Fill(be.View(b, 3, 2), 7)
	got := make([]float32, 10)
	be.Download(got, b)
	for i, v := range got {
		if (v == 7) != (i == 3 || i == 4) || v != 0 && v != 7 {
			t.Errorf("element %d is %g", i, v)
		}
	}
}

func TestIncompleteWeightIsRefused(t *testing.T) {
	be := open(cuda.Options{})(t)
	be.NewWeight(backend.WeightData{Kind: backend.NF4, Rows: 8, Cols: 64, NF4: make([]uint8, 256)})
	if err := be.Err(); err == nil || !strings.Contains(err.Error(), "nf4 weight") {
		t.Errorf("the error is %v", err)
	}
}
