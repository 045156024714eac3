package loop_test

import (
	"encoding/json"
	"fmt"
	"maps"
	"math"
	"math/rand/v2"
	"os"
	"path/filepath"
	"slices"
	"testing"
	"time"
	"unsafe"

	driver "github.com/so8t/so8t/cuda"
	"github.com/so8t/so8t/cuda/cudatest"
	"github.com/so8t/so8t/stages/internal/backend"
	"github.com/so8t/so8t/stages/internal/backend/cpu"
	"github.com/so8t/so8t/stages/internal/backend/cuda"
	"github.com/so8t/so8t/stages/internal/loop"
	"github.com/so8t/so8t/stages/internal/phi3"
	"github.com/so8t/so8t/stages/internal/pytorchtest"
	"github.com/so8t/so8t/stages/internal/so8t"
)

// workload is what both sides of BenchmarkCard train.
type workload struct {
	folder                                  string // of the base
	rows, length, accumulation, steps, rank int
	product                                 int // size of the product that says what the card can do
}

// cardContests are the rows of the table in cuda/BENCHMARKS.md. PyTorch's base is bfloat16 in all of them.
var cardContests = []struct {
	name      string
	storage   phi3.Storage
	limit     int64 // bytes of the card; 0: all
	tolerance float64
}{
	{"bf16", phi3.StoreNative, 0, 1e-2},
	{"int8", phi3.StoreInt8, 0, 3e-2}, // a rounded base has another loss
	{"int8 in 11.5 GiB", phi3.StoreInt8, 23 << 29, 3e-2},
}

// BenchmarkCard races fine-tuning steps on the GPU against PyTorch with PEFT on the same card, one step each in turn, on the model of Phi-4-mini's
// size in SO8T_FULLSIZE (task fullsize:model). Without that it rehearses on a tiny model, and without SO8T_TEST_CARD on the kernels compiled for
// the host: its figures then mean nothing. cuda/BENCHMARKS.md has the commands.
func BenchmarkCard(b *testing.B) {
	if err := cudatest.Use(b, "../../../cuda/testdata", driver.EnvDriver, driver.EnvBLAS); err != nil {
		b.Skip(err)
	}
	python := pytorchtest.Python(b)
	w := workload{rows: 1, length: 24, accumulation: 2, steps: 3, rank: 4, product: 64}
	if dir := os.Getenv("SO8T_FULLSIZE"); dir != "" {
		w = workload{folder: filepath.Join(dir, "base"), rows: 2, length: 512, accumulation: 8, steps: 20, rank: 64, product: 8192}
	} else {
		w.folder = b.TempDir()
		tiny := phi3.Config{Hidden: 64, Layers: 2, Heads: 2, KVHeads: 1, HeadDim: 32, Intermediate: 96, Vocab: 512, MaxPositions: 64,
			OriginalMaxPositions: 64, RMSEps: 1e-5, RopeTheta: 10000, PartialRotary: 1, TiedEmbeddings: true, InitRange: 0.02, BOS: -1, Pad: -1, EOS: []int{0}}
		weights, err := phi3.NewWeights(&tiny, 1)
		if err == nil {
			err = weights.WriteFolder(w.folder, "bfloat16")
		}
		if err != nil {
			b.Fatal(err)
		}
	}
	adapter, batches := b.TempDir(), filepath.Join(b.TempDir(), "batches.json")
	w.writeAdapter(b, adapter)
	rows := w.draw(b, batches)
	for _, c := range cardContests {
		b.Run(c.name, func(b *testing.B) {
			for b.Loop() {
				be, m, n := w.open(b, c.storage, c.limit)
				var hello map[string]any
				r := &cardRace{b: b, tolerance: c.tolerance}
				if c.limit == 0 { // a limit is ours alone
					r.peer = pytorchtest.Start(b, python, "testdata/card_peer.py", &hello, w.folder, adapter, batches, fmt.Sprint(peerRate))
				}
				w.train(b, be, m, rows, r.step)
				r.report(w, n, gemmRate(b, w.product), be)
				b.Logf("%v; ours: %+v", hello, be.Info())
				m.Release()
				if err := be.Close(); err != nil {
					b.Error(err)
				}
			}
		})
	}
	b.Run("kernels", func(b *testing.B) {
		be, m, _ := w.open(b, phi3.StoreNative, 0)
		few := rows[:2*w.rows*w.accumulation]
		times, err := cuda.Timed(be, func() error { w.train(b, be, m, few, func(loop.Point, float64) {}); return nil })
		if err != nil {
			b.Fatal(err)
		}
		for _, name := range slices.SortedFunc(maps.Keys(times), func(x, y string) int { return int(times[y].Total - times[x].Total) }) {
			b.Logf("%-24s %6d launches %12s", name, times[name].Launches, times[name].Total)
		}
		m.Release()
		if err := be.Close(); err != nil {
			b.Error(err)
		}
	})
}

func (w workload) adapter() phi3.AdapterOptions {
	return phi3.AdapterOptions{Rank: w.rank, Alpha: 2 * float64(w.rank), Targets: phi3.Modules, Gates: "none"}
}

// counts are the numbers of a model that its FLOP depend on.
type counts struct{ linear, lora, attention int }

// open puts the model on the card.
func (w workload) open(b *testing.B, storage phi3.Storage, limit int64) (backend.Backend, *loop.Phi3, counts) {
	b.Helper()
	be, err := cuda.Open(cuda.Options{Limit: limit})
	if err != nil {
		b.Fatal(err)
	}
	f, err := phi3.OpenFolder(w.folder)
	if err != nil {
		b.Fatal(err)
	}
	b.Cleanup(func() { f.Close() })
	weights, err := phi3.Load(f.Config, f, storage)
	if err != nil {
		b.Fatal(err)
	}
	m, err := phi3.NewAdapterModel(be, weights, phi3.TrainOptions{MaxLen: w.length, Recompute: true}, w.adapter())
	if err != nil {
		b.Fatal(err)
	}
	t := loop.NewPhi3(m, loop.Group{Name: "lora", Params: m.LoRAParams(), LRScale: 1, Decay: 0.01})
	c := f.Config
	n := counts{linear: c.Vocab * c.Hidden, lora: t.Parameters(), attention: c.Heads * c.HeadDim * c.Layers}
	for _, tensor := range c.Tensors() {
		if tensor.Role == phi3.RoleLinear {
			n.linear += tensor.Len()
		}
	}
	return be, t, n
}

func (w workload) writeAdapter(b *testing.B, dir string) {
	b.Helper()
	f, err := phi3.OpenFolder(w.folder)
	if err != nil {
		b.Fatal(err)
	}
	defer f.Close()
	weights, err := phi3.Load(f.Config, f, phi3.StoreNative)
	if err != nil {
		b.Fatal(err)
	}
	m, err := phi3.NewAdapterModel(openPeer(b, cpu.Options{BLAS: "none", Threads: 1}), weights, phi3.TrainOptions{MaxLen: w.length}, w.adapter())
	if err != nil {
		b.Fatal(err)
	}
	defer m.Release()
	if err := so8t.WriteAdapter(dir, m.Adapter("peer")); err != nil {
		b.Fatal(err)
	}
}

// draw makes the rows of all steps, with something to learn in them, and writes them for PyTorch.
func (w workload) draw(b *testing.B, path string) []loop.Row {
	b.Helper()
	rng := rand.New(rand.NewPCG(3, 4))
	rows := make([]loop.Row, w.steps*w.accumulation*w.rows)
	steps := make([][][][]int32, w.steps)
	for i := range rows {
		tokens := make([]int32, w.length)
		for t := range tokens {
			tokens[t] = rng.Int32N(16) * rng.Int32N(32)
		}
		rows[i].Tokens = tokens
		step, micro := &steps[i/(w.accumulation*w.rows)], i/w.rows%w.accumulation
		if i%w.rows == 0 {
			*step = append(*step, nil)
		}
		(*step)[micro] = append((*step)[micro], tokens)
	}
	text, err := json.Marshal(steps)
	if err == nil {
		err = os.WriteFile(path, text, 0o644)
	}
	if err != nil {
		b.Fatal(err)
	}
	return rows
}

func (w workload) train(b *testing.B, be backend.Backend, m *loop.Phi3, rows []loop.Row, step func(p loop.Point, seconds float64)) {
	b.Helper()
	dir, began := b.TempDir(), time.Now()
	run := &loop.Run{
		Backend: be, Model: m, Train: rows,
		Settings: loop.Settings{Size: loop.Size{Rows: w.rows}, InOrder: true, Accumulation: w.accumulation, AdamW: loop.DefaultAdamW,
			Schedule: loop.Schedule{Kind: "constant", Peak: peerRate, Steps: int64(len(rows) / w.rows / w.accumulation)}},
		Curve: filepath.Join(dir, "curve"), Metrics: filepath.Join(dir, "metrics"),
		OnStep: func(p loop.Point, _ float64) {
			step(p, time.Since(began).Seconds())
			began = time.Now()
		},
	}
	if _, err := run.Do(b.Context()); err != nil {
		b.Fatal(err)
	}
}

// cardRace keeps the best step of each side and compares the losses.
type cardRace struct {
	b                *testing.B
	peer             *pytorchtest.Peer // nil: we run alone
	ours, theirs     float64           // seconds
	theirPeak, worst float64
	tolerance        float64
}

func (r *cardRace) step(p loop.Point, seconds float64) {
	var theirs struct{ Loss, Seconds, Peak float64 }
	if r.peer != nil {
		if err := r.peer.Ask("step", &theirs); err != nil {
			r.b.Fatal(err)
		}
		difference := math.Abs(p.Loss - theirs.Loss)
		if r.worst = max(r.worst, difference); !(difference <= r.tolerance) {
			r.b.Errorf("step %d: our loss is %.6f, PyTorch's %.6f", p.Step, p.Loss, theirs.Loss)
		}
	}
	r.b.Logf("step %d: loss %.5f, %.5f; seconds %.3f, %.3f", p.Step, p.Loss, theirs.Loss, seconds, theirs.Seconds)
	if p.Step == 1 { // takes memory and compiles kernels, on both sides
		return
	}
	if r.ours == 0 || seconds < r.ours {
		r.ours = seconds
	}
	if r.theirs == 0 || theirs.Seconds < r.theirs {
		r.theirs = theirs.Seconds
	}
	r.theirPeak = theirs.Peak
}

// report counts as FLOP what a step needs: what is computed again is not counted, and of attention the half that is causal (forward 2 products,
// backward 5).
func (r *cardRace) report(w workload, n counts, gemm float64, be backend.Backend) {
	tokens := float64(w.rows * w.length * w.accumulation)
	flop := tokens * float64(4*n.linear+6*n.lora+7*w.length*n.attention)
	r.b.ReportMetric(tokens/r.ours, "tokens/s")
	r.b.ReportMetric(100*flop/r.ours/gemm, "%-of-GEMM")
	r.b.ReportMetric(gemm/1e12, "GEMM-TFLOP/s")
	r.b.ReportMetric(float64(be.Counters().PeakBytes)/(1<<30), "GiB")
	if r.peer != nil {
		r.b.ReportMetric(tokens/r.theirs, "torch-tokens/s")
		r.b.ReportMetric(r.theirs/r.ours, "x-torch")
		r.b.ReportMetric(100*flop/r.theirs/gemm, "torch-%-of-GEMM")
		r.b.ReportMetric(r.theirPeak/(1<<30), "torch-GiB")
		r.b.ReportMetric(r.worst, "loss-difference")
	}
}

// gemmRate is the rate of a square product in bfloat16 on the card, FLOP/s: the best of some.
func gemmRate(b *testing.B, size int) float64 {
	b.Helper()
	d, err := driver.Open(0)
	if err != nil {
		b.Fatal(err)
	}
	defer d.Close()
	numbers := make([]uint16, size*size)
	for i := range numbers {
		numbers[i] = uint16(0x3c00 + rand.IntN(0x400)) // 2⁻⁷ to 2: zeros would let the card run cooler than it does at work
	}
	x, errX := d.Alloc(2 * int64(len(numbers)))
	y, errY := d.Alloc(4 * int64(len(numbers)))
	if errX != nil || errY != nil {
		b.Fatal(errX, errY)
	}
	d.Upload(x, unsafe.Slice((*byte)(unsafe.Pointer(&numbers[0])), 2*len(numbers)))
	p := driver.Product{M: size, N: size, K: size, Alpha: 1, Type: driver.BFloat16, A: driver.Matrix{At: x, LD: size},
		B: driver.Matrix{At: x, LD: size, Trans: true}, C: y, LDC: size}
	best := math.Inf(1)
	for range 10 {
		if err := d.Sync(); err != nil {
			b.Fatal(err)
		}
		began := time.Now()
		d.Gemm(p)
		if err := d.Sync(); err != nil {
			b.Fatal(err)
		}
		best = min(best, time.Since(began).Seconds())
	}
	return 2 * math.Pow(float64(size), 3) / best
}
