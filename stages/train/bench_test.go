package train

import (
	"encoding/json"
	"fmt"
	"math/rand/v2"
	"path/filepath"
	"testing"

	"github.com/so8t/so8t/stages/internal/compute"
	"github.com/so8t/so8t/stages/internal/loop"
	"github.com/so8t/so8t/stages/internal/phi3"
)

// BenchmarkQuickstart is the training loop on a model and rows of the quickstart's size
// (0.69 million parameters, 16 rows of about 50 tokens a step), everything included:
// windows, graph, clipping, AdamW, curve.
func BenchmarkQuickstart(b *testing.B) {
	for _, threads := range []int{1, 2} {
		b.Run(fmt.Sprintf("threads=%d", threads), func(b *testing.B) { benchmark(b, threads) })
	}
}

func benchmark(b *testing.B, threads int) {
	be, err := compute.Open("cpu", threads)
	if err != nil {
		b.Fatal(err)
	}
	defer be.Close()
	w, err := phi3.NewWeights(&phi3.Config{Hidden: 128, Layers: 4, Heads: 4, KVHeads: 2, HeadDim: 32, Intermediate: 256, Vocab: 768,
		MaxPositions: 1024, OriginalMaxPositions: 1024, RMSEps: 1e-5, RopeTheta: 10000, PartialRotary: 0.75, TiedEmbeddings: true, InitRange: 0.02,
		BOS: -1, Pad: -1, EOS: []int{0}}, 1)
	if err != nil {
		b.Fatal(err)
	}
	c, err := parse(json.RawMessage(`{"base":"x","dataset":"x","batch":16,"accumulation":1,"lr":4e-3,"lora":{"r":16,"alpha":32,"dropout":0}}`))
	if err != nil {
		b.Fatal(err)
	}
	m, err := newModel(be, w, c, nil, 80)
	if err != nil {
		b.Fatal(err)
	}
	defer m.Release()
	pet, err := c.pet()
	if err != nil {
		b.Fatal(err)
	}
	dir := b.TempDir()
	tokens := int64(0)
	run := &loop.Run{
		Backend: be, Model: m, Train: benchmarkRows(2400),
		Settings: loop.Settings{Size: loop.Size{Rows: c.Batch}, Accumulation: 1, AdamW: loop.DefaultAdamW, PET: pet, Schedule: c.schedule(int64(b.N))},
		Curve:    filepath.Join(dir, "c"), Metrics: filepath.Join(dir, "m"),
		OnStep: func(p loop.Point, _ float64) { tokens += p.Tokens },
	}
	b.ResetTimer()
	if _, err := run.Do(b.Context()); err != nil {
		b.Fatal(err)
	}
	b.ReportMetric(float64(tokens)/b.Elapsed().Seconds(), "tokens/s")
	b.ReportMetric(float64(be.Counters().Allocations)/float64(b.N), "buffers/op")
	b.ReportMetric(float64(be.Counters().PeakBytes)/1e6, "peak-MB")
}

// benchmarkRows have the lengths of the quickstart's, 30 tokens of prompt and 20 to learn.
func benchmarkRows(n int) []loop.Row {
	rng := rand.New(rand.NewPCG(1, 2))
	rows := make([]loop.Row, n)
	for i := range rows {
		size := 38 + rng.IntN(24)
		r := loop.Row{Tokens: make([]int32, size), Learn: make([]bool, size)}
		for t := range r.Tokens {
			r.Tokens[t] = rng.Int32N(750)
			r.Learn[t] = t >= size-20
		}
		rows[i] = r
	}
	return rows
}
