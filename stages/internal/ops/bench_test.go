package ops_test

import (
	"testing"

	"github.com/so8t/so8t/stages/internal/backend/cpu"
)

// BenchmarkStep is a training step (forward and backward, no optimiser) of the quickstart's model: pre-training on 2,048 tokens in documents of
// 128, and LoRA on 16 rows of about 50.
//
//	go test -run - -bench Step ./stages/internal/ops
func BenchmarkStep(b *testing.B) {
	lora := quickstart
	lora.rank, lora.pet = 16, 0.05
	documents := make([]int, 16)
	for i := range documents {
		documents[i] = 128
	}
	rows := []int{41, 57, 50, 48, 60, 44, 52, 55, 49, 51, 46, 58, 43, 50, 54, 47}
	for _, c := range []struct {
		name    string
		d       dims
		lengths []int
		o       cpu.Options
	}{
		{"pretrain/own/1", quickstart, documents, cpu.Options{BLAS: "none", Threads: 1}},
		{"pretrain/own/2", quickstart, documents, cpu.Options{BLAS: "none", Threads: 2}},
		{"pretrain/avx2/2", quickstart, documents, cpu.Options{BLAS: "none", Threads: 2, Kernels: "avx2"}},
		{"pretrain/blas/2", quickstart, documents, cpu.Options{BLAS: "auto", Threads: 2}},
		{"pretrain/go/2", quickstart, documents, cpu.Options{BLAS: "none", Threads: 2, Kernels: "go"}},
		{"lora/own/1", lora, rows, cpu.Options{BLAS: "none", Threads: 1}},
		{"lora/own/2", lora, rows, cpu.Options{BLAS: "none", Threads: 2}},
		{"lora/avx2/2", lora, rows, cpu.Options{BLAS: "none", Threads: 2, Kernels: "avx2"}},
	} {
		b.Run(c.name, func(b *testing.B) {
			m := newModel(openCPU(b, c.o), c.d)
			data := newBatch(c.d.vocab, c.d.rank > 0, c.lengths...)
			sc := m.be.NewScope()
			for b.Loop() {
				m.params.ZeroGrad()
				m.step(b, sc, data)
			}
			b.ReportMetric(float64(len(data.ids)*b.N)/b.Elapsed().Seconds(), "tokens/s")
			b.ReportMetric(float64(m.be.Counters().PeakBytes)/1e6, "MB")
		})
	}
}
