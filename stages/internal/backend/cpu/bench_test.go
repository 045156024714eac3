package cpu_test

import (
	"fmt"
	"testing"

	"github.com/so8t/so8t/stages/internal/backend"
	"github.com/so8t/so8t/stages/internal/backend/cpu"
)

// BenchmarkGemm prints GFLOP/s for the shapes of the quickstart (tokens x 128 … 1024), larger ones and LoRA's narrow ones:
//
//	go test -run - -bench Gemm ./stages/internal/backend/cpu
func BenchmarkGemm(b *testing.B) {
	type shape struct {
		name    string
		ta, tb  bool
		m, n, k int
	}
	shapes := []shape{
		{"qkv", false, true, 2048, 256, 128}, {"o", false, true, 2048, 128, 128}, {"gateup", false, true, 2048, 512, 128}, {"down", false, true, 2048, 128, 256},
		{"head", false, true, 2048, 800, 128}, {"gateup.dx", false, false, 2048, 128, 512}, {"gateup.dw", true, false, 512, 128, 2048}, {"head.dw", true, false, 800, 128, 2048},
		{"512", false, true, 512, 1024, 1024}, {"1024", false, false, 1024, 1024, 1024}, {"3072", false, true, 1024, 3072, 3072},
		{"lora.a", false, true, 800, 16, 128}, {"lora.b", false, true, 800, 512, 16}, {"lora.da", true, false, 16, 128, 800}, {"lora.db", true, false, 512, 16, 800},
		{"lora.gxa", false, false, 800, 16, 512}, {"lora8.wide", false, true, 1024, 8, 3072}, {"lora64.wide", false, true, 1024, 64, 3072}, {"gemv", false, true, 1, 1024, 1024},
	}
	for _, o := range []cpu.Options{
		{Kernels: "avx2", BLAS: "none", Threads: 1}, {Kernels: "avx512", BLAS: "none", Threads: 1}, {BLAS: "auto", Threads: 1},
		{Kernels: "avx2", BLAS: "none", Threads: 2}, {Kernels: "avx512", BLAS: "none", Threads: 2}, {BLAS: "auto", Threads: 2}, {Kernels: "go", BLAS: "none", Threads: 2},
	} {
		for _, s := range shapes {
			name := o.Kernels
			if o.BLAS != "none" {
				name = "blas"
			}
			b.Run(fmt.Sprintf("%s/%d/%s", name, o.Threads, s.name), func(b *testing.B) {
				be := open(o)(b)
				x, y, z := be.NewBuffer(s.m*s.k), be.NewBuffer(s.k*s.n), be.NewBuffer(s.m*s.n)
				be.Fill(x, 0.5)
				be.Fill(y, 0.25)
				lda, ldb := s.k, s.n
				if s.ta {
					lda = s.m
				}
				if s.tb {
					ldb = s.k
				}
				for b.Loop() {
					be.Gemm(s.ta, s.tb, s.m, s.n, s.k, 1, backend.Mat{Buf: x, LD: lda}, backend.Mat{Buf: y, LD: ldb}, 0, backend.Mat{Buf: z, LD: s.n})
				}
				b.ReportMetric(2*float64(s.m)*float64(s.n)*float64(s.k)*float64(b.N)/b.Elapsed().Seconds()/1e9, "GFLOP/s")
			})
		}
	}
}
