package loop_test

import (
	"fmt"
	"testing"

	"github.com/so8t/so8t/stages/internal/backend"
	"github.com/so8t/so8t/stages/internal/backend/cpu"
	"github.com/so8t/so8t/stages/internal/loop"
)

// BenchmarkStep is the step of BenchmarkTraining without PyTorch, with a BLAS library and with our own kernels: how much of the rate of a large
// product on the library it reaches, and what of its time is spago's (that of a step that computes nothing; an upper bound, what we do in Go is in it).
//
//	go test -run - -bench Step -benchtime 8x ./stages/internal/loop
func BenchmarkStep(b *testing.B) {
	folder := b.TempDir()
	writePeerModel(b, folder)
	for _, c := range contests {
		for _, threads := range []int{1, 2} {
			for _, o := range []cpu.Options{{BLAS: "auto"}, {BLAS: "none"}, {BLAS: "none", Kernels: "avx2"}} {
				o.Threads = threads
				b.Run(fmt.Sprintf("%s/threads=%d/blas=%s%s", c.name, threads, o.BLAS, o.Kernels), func(b *testing.B) { c.alone(b, o, folder) })
			}
		}
	}
}

func (c contest) alone(b *testing.B, o cpu.Options, folder string) {
	be, err := cpu.Open(o)
	if err != nil {
		b.Skip(err)
	}
	b.Cleanup(func() { be.Close() })
	graph := c.best(b, cpu.OpenDry(), folder, 20, func() {}).wall
	p := newPeak(b, o.Threads)
	step := c.best(b, be, folder, b.N+1, p.measure)
	best := step.wall
	b.ReportMetric(step.cpu, "processor-s")
	b.ReportMetric(peerRows*peerLength/best, "tokens/s")
	b.ReportMetric(100*c.flop()/best/p.rate, "%-of-GEMM-peak")
	b.ReportMetric(p.rate/1e9, "peak-GFLOP/s")
	b.ReportMetric(100*graph/best, "%-spago")
	b.ReportMetric(float64(be.Counters().PeakBytes)/1e6, "MB")
}

// best is the shortest of some steps after the first, in wall and processor time.
func (c contest) best(b *testing.B, be backend.Backend, folder string, steps int, between func()) (best spent) {
	m, _ := c.model(b, be, folder)
	defer m.Release()
	before := processorTime()
	b.ResetTimer()
	trainPeer(b, be, m, peerDraw(steps), func(p loop.Point, seconds float64) {
		if p.Step > 1 {
			best.keep(seconds, processorTime()-before)
		}
		b.StopTimer()
		between()
		b.StartTimer()
		before = processorTime()
	})
	return best
}
