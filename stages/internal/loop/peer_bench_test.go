package loop_test

import (
	"encoding/json"
	"fmt"
	"math"
	"math/rand/v2"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"testing"
	"time"

	"github.com/so8t/so8t/stages/internal/backend"
	"github.com/so8t/so8t/stages/internal/backend/cpu"
	"github.com/so8t/so8t/stages/internal/loop"
	"github.com/so8t/so8t/stages/internal/phi3"
	"github.com/so8t/so8t/stages/internal/pytorchtest"
	"github.com/so8t/so8t/stages/internal/so8t"
)

// peerModel has the architecture of Phi-4-mini and 29 million parameters. Whole heads are turned: the pinned transformers ignores partial_rotary_factor.
var peerModel = phi3.Config{Hidden: 512, Layers: 8, Heads: 8, KVHeads: 4, HeadDim: 64, Intermediate: 1536, Vocab: 8192,
	MaxPositions: 1024, OriginalMaxPositions: 1024, RMSEps: 1e-5, RopeTheta: 10000, PartialRotary: 1, TiedEmbeddings: true, InitRange: 0.02,
	BOS: -1, Pad: -1, EOS: []int{0}}

const (
	peerSteps  = 8
	peerRows   = 4 // of a step
	peerLength = 256
	peerRank   = 16
	peerRate   = 1e-3
)

// contest is one comparison with PyTorch.
type contest struct {
	name    string
	lora    bool
	storage phi3.Storage
	// tolerance is how far our loss may lie from PyTorch's at any step, nats. The frozen weights rounded to int8 give another loss.
	tolerance float64
}

var contests = []contest{
	{"lora", true, phi3.StoreF32, 1e-3},
	{"lora int8", true, phi3.StoreInt8, 1e-2},
	{"pretrain", false, phi3.StoreF32, 1e-3},
}

// BenchmarkTraining races whole optimiser steps (forward, backward, clipping, AdamW) against PyTorch with PEFT: the same weights, rows and
// threads, one step each in turn, the best step of each counts. The losses of all steps are compared. Beside it a large product of OpenBLAS
// says what the machine can do.
//
//	go test -run - -bench Training -benchtime 1x ./stages/internal/loop
func BenchmarkTraining(b *testing.B) {
	python := pytorchtest.Python(b)
	folder, adapter, batches := b.TempDir(), b.TempDir(), filepath.Join(b.TempDir(), "batches.json")
	writePeerAdapter(b, writePeerModel(b, folder), adapter)
	rows := peerDraw(peerSteps)
	writePeerBatches(b, batches, rows)
	for _, c := range contests {
		for _, threads := range []int{1, 2} {
			b.Run(fmt.Sprintf("%s/threads=%d", c.name, threads), func(b *testing.B) {
				args := []string{folder, "-", batches, strconv.Itoa(threads), fmt.Sprint(peerRate)}
				if c.lora {
					args[1] = adapter
				}
				c.race(b, python, folder, rows, threads, args)
			})
		}
	}
}

// race runs all steps once for every iteration.
func (c contest) race(b *testing.B, python, folder string, rows []loop.Row, threads int, args []string) {
	for b.Loop() {
		var hello map[string]any
		peer := pytorchtest.Start(b, python, "testdata/peer.py", &hello, args...)
		be := openPeer(b, cpu.Options{Threads: threads})
		m, frozen := c.model(b, be, folder)
		if want := float64(m.Parameters()); hello["parameters"] != want {
			b.Fatalf("PyTorch trains %v parameters, we train %v", hello["parameters"], want)
		}
		r := &race{b: b, peer: peer, peak: newPeak(b, threads), tolerance: c.tolerance, before: processorTime()}
		trainPeer(b, be, m, rows, r.step)
		tokens := float64(peerRows * peerLength)
		b.ReportMetric(tokens/r.ours.wall, "tokens/s")
		b.ReportMetric(tokens/r.theirs.wall, "torch-tokens/s")
		b.ReportMetric(r.theirs.wall/r.ours.wall, "x-torch")
		b.ReportMetric(r.theirs.cpu/r.ours.cpu, "x-torch-cpu")
		b.ReportMetric(100*c.flop()/r.ours.wall/r.peak.rate, "%-of-GEMM-peak")
		b.ReportMetric(100*c.flop()/r.theirs.wall/r.peak.rate, "torch-%-of-GEMM-peak")
		b.ReportMetric(r.peak.rate/1e9, "peak-GFLOP/s")
		b.ReportMetric(r.worst, "loss-difference")
		if c.lora {
			b.ReportMetric(float64(frozen)/1e6, "frozen-MB")
		}
		b.Logf("%v; ours: %+v", hello, be.Info())
		m.Release()
	}
}

// model is ours, and the bytes of its frozen projections.
func (c contest) model(b *testing.B, be backend.Backend, folder string) (*loop.Phi3, int) {
	b.Helper()
	f, err := phi3.OpenFolder(folder)
	if err != nil {
		b.Fatal(err)
	}
	b.Cleanup(func() { f.Close() })
	w, err := phi3.Load(f.Config, f, c.storage)
	if err != nil {
		b.Fatal(err)
	}
	options := phi3.TrainOptions{MaxLen: peerLength}
	if !c.lora {
		m, err := phi3.NewBaseModel(be, w, options)
		if err != nil {
			b.Fatal(err)
		}
		return loop.NewPhi3(m, loop.Group{Name: "base", Params: m.BaseParams(), LRScale: 1, Decay: 0.01}), 0
	}
	m, err := phi3.NewAdapterModel(be, w, options, peerAdapter)
	if err != nil {
		b.Fatal(err)
	}
	bytes := 0
	for _, l := range w.Layers {
		for _, name := range phi3.Modules {
			d := l.Module(name)
			bytes += 4*len(d.F32) + len(d.Int8) + 4*len(d.Scales)
		}
	}
	return loop.NewPhi3(m, loop.Group{Name: "lora", Params: m.LoRAParams(), LRScale: 1, Decay: 0.01}), bytes
}

// flop is what the products of one step need: no more than half of causal attention's scores counts.
func (c contest) flop() float64 {
	m, linear, adapters := peerModel, 0, 0
	for _, t := range m.Tensors() {
		if t.Role == phi3.RoleLinear {
			linear += t.Len()
			adapters += peerRank * (t.Shape[0] + t.Shape[1])
		}
	}
	linear += m.Vocab * m.Hidden
	attention := 7 * peerLength / 2 * m.Heads * m.HeadDim * m.Layers // multiplications a token, forward 2 products and backward 5
	if c.lora {
		return 2 * float64(2*linear+3*adapters+attention) * peerRows * peerLength
	}
	return 2 * float64(3*linear+attention) * peerRows * peerLength
}

var peerAdapter = phi3.AdapterOptions{Rank: peerRank, Alpha: 2 * peerRank, Targets: phi3.Modules, Gates: "none"}

// writePeerAdapter writes the adapter that both sides start from.
func writePeerAdapter(b *testing.B, w *phi3.Weights, dir string) {
	b.Helper()
	be := openPeer(b, cpu.Options{BLAS: "none", Threads: 1})
	m, err := phi3.NewAdapterModel(be, w, phi3.TrainOptions{MaxLen: peerLength}, peerAdapter)
	if err == nil {
		err = so8t.WriteAdapter(dir, m.Adapter("peer"))
		m.Release()
	}
	if err != nil {
		b.Fatal(err)
	}
}

// peerDraw draws the rows of some steps, with something to learn in them.
func peerDraw(steps int) []loop.Row {
	rng := rand.New(rand.NewPCG(3, 4))
	rows := make([]loop.Row, steps*peerRows)
	for i := range rows {
		rows[i].Tokens = make([]int32, peerLength)
		for t := range rows[i].Tokens {
			rows[i].Tokens[t] = rng.Int32N(16) * rng.Int32N(512)
		}
	}
	return rows
}

// writePeerBatches writes them for PyTorch.
func writePeerBatches(b *testing.B, path string, rows []loop.Row) {
	b.Helper()
	var steps [][][]int32
	for step := range slices.Chunk(rows, peerRows) {
		var list [][]int32
		for _, r := range step {
			list = append(list, r.Tokens)
		}
		steps = append(steps, list)
	}
	text, err := json.Marshal(steps)
	if err == nil {
		err = os.WriteFile(path, text, 0o644)
	}
	if err != nil {
		b.Fatal(err)
	}
}

func writePeerModel(b *testing.B, folder string) *phi3.Weights {
	b.Helper()
	w, err := phi3.NewWeights(&peerModel, 1)
	if err == nil {
		err = w.WriteFolder(folder, "float32")
	}
	if err != nil {
		b.Fatal(err)
	}
	return w
}

func openPeer(b *testing.B, o cpu.Options) backend.Backend {
	b.Helper()
	be, err := cpu.Open(o)
	if err != nil {
		b.Fatal(err)
	}
	b.Cleanup(func() { be.Close() })
	return be
}

// race is a run under way: after each of our steps PyTorch takes one, and the machine's product is timed.
type race struct {
	b            *testing.B
	peer         *pytorchtest.Peer
	ours, theirs spent   // of the best step
	worst        float64 // difference of losses
	peak         *peak
	tolerance    float64
	before       float64 // processor time that this process had used when the step began
}

// spent is the wall and the processor time of a step in seconds. With other work on the machine the latter is the one to look at, on one thread: on several,
// threads that wait for each other in a loop use it too.
type spent struct{ wall, cpu float64 }

func (s *spent) keep(wall, cpu float64) {
	if s.wall == 0 {
		*s = spent{wall, cpu}
	}
	*s = spent{min(s.wall, wall), min(s.cpu, cpu)}
}

func (r *race) step(p loop.Point, seconds float64) {
	used := processorTime() - r.before
	var theirs struct{ Loss, Seconds, CPU float64 }
	if err := r.peer.Ask("step", &theirs); err != nil {
		r.b.Fatal(err)
	}
	difference := math.Abs(p.Loss - theirs.Loss)
	r.worst = max(r.worst, difference)
	if !(difference <= r.tolerance) {
		r.b.Errorf("step %d: our loss is %.6f, PyTorch's %.6f", p.Step, p.Loss, theirs.Loss)
	}
	r.b.Logf("step %d: loss %.5f, %.5f; seconds %.3f, %.3f; of the processor %.3f, %.3f", p.Step, p.Loss, theirs.Loss, seconds, theirs.Seconds, used, theirs.CPU)
	if p.Step > 1 { // the first takes memory and warms caches, on both sides
		r.ours.keep(seconds, used)
		r.theirs.keep(theirs.Seconds, theirs.CPU)
	}
	r.peak.measure()
	r.before = processorTime()
}

// trainPeer takes a step for every peerRows rows and hands out how long each took.
func trainPeer(b *testing.B, be backend.Backend, m *loop.Phi3, rows []loop.Row, step func(p loop.Point, seconds float64)) {
	b.Helper()
	dir, began := b.TempDir(), time.Now()
	run := &loop.Run{
		Backend: be, Model: m, Train: rows,
		Settings: loop.Settings{Size: loop.Size{Rows: peerRows}, InOrder: true, Accumulation: 1, AdamW: loop.DefaultAdamW,
			Schedule: loop.Schedule{Kind: "constant", Peak: peerRate, Steps: int64(len(rows) / peerRows)}},
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

// peak is the rate of a large product on the machine's best library.
type peak struct {
	be   backend.Backend
	mats [3]backend.Buffer
	rate float64 // FLOP/s, the best so far
}

const peakSize = 1536

func newPeak(b *testing.B, threads int) *peak {
	be, err := cpu.Open(cpu.Options{BLAS: "auto", Threads: threads})
	if err != nil {
		be = openPeer(b, cpu.Options{BLAS: "none", Threads: threads})
	}
	b.Cleanup(func() { be.Close() })
	p := &peak{be: be}
	for i := range p.mats {
		p.mats[i] = be.NewBuffer(peakSize * peakSize)
		be.Fill(p.mats[i], 0.5)
	}
	return p
}

func (p *peak) measure() {
	m := func(i int) backend.Mat { return backend.Mat{Buf: p.mats[i], LD: peakSize} }
	start := time.Now()
	p.be.Gemm(false, true, peakSize, peakSize, peakSize, 1, m(0), m(1), 0, m(2))
	p.rate = max(p.rate, 2*peakSize*peakSize*peakSize/time.Since(start).Seconds())
}
