package cpu_test

import (
	"fmt"
	"math"
	"strings"
	"testing"
	"time"

	"github.com/so8t/so8t/stages/internal/backend"
	"github.com/so8t/so8t/stages/internal/backend/cpu"
)

// product is one shape of matrix product: C[m,n] = op(A)[m,k] op(B)[k,n].
type product struct {
	name    string
	ta, tb  bool
	m, n, k int
}

// products are those of the quickstart (2,048 tokens, forward, input gradient, weight gradient), larger ones (Phi-4-mini's last), LoRA's narrow ones and decoding.
var products = []product{
	{"qkv", false, true, 2048, 256, 128}, {"o", false, true, 2048, 128, 128}, {"gate_up", false, true, 2048, 512, 128}, {"down", false, true, 2048, 128, 256},
	{"head", false, true, 2048, 800, 128}, {"gate_up dx", false, false, 2048, 128, 512}, {"gate_up dW", true, false, 512, 128, 2048}, {"head dW", true, false, 800, 128, 2048},
	{"512 tokens, 1024", false, true, 512, 1024, 1024}, {"1024, 1024", false, false, 1024, 1024, 1024}, {"1024, 3072", false, true, 1024, 3072, 3072},
	{"512, gate_up", false, true, 512, 16384, 3072}, {"512, down dx", false, false, 512, 8192, 3072},
	{"lora x·Aᵀ", false, true, 800, 16, 128}, {"lora ·Bᵀ", false, true, 800, 512, 16}, {"lora dA", true, false, 16, 128, 800}, {"lora dB", true, false, 512, 16, 800},
	{"lora g·B", false, false, 800, 16, 512}, {"lora 8, 3072", false, true, 1024, 8, 3072}, {"lora 64, 3072", false, true, 1024, 64, 3072}, {"one row", false, true, 1, 1024, 1024},
}

// BenchmarkGemm prints a table of GFLOP/s: our kernels against the BLAS library that is installed, if any, and the ratio of the best of ours to it, whose geometric mean is the metric. The
// contestants take turns and the best of many rounds counts, so that other work on the machine hurts all alike.
//
//	go test -run - -bench Gemm -benchtime 1x -v ./stages/internal/backend/cpu
func BenchmarkGemm(b *testing.B) {
	for _, threads := range []int{1, 2} {
		b.Run(fmt.Sprintf("%d threads", threads), func(b *testing.B) {
			names := []string{"avx2", "avx512", "neon", "blas"}
			var backends []backend.Backend
			var columns []string
			for _, name := range names {
				o := cpu.Options{Kernels: name, BLAS: "none", Threads: threads}
				if name == "blas" {
					o = cpu.Options{BLAS: "auto", Threads: threads}
				}
				if be, err := cpu.Open(o); err == nil {
					b.Cleanup(func() { be.Close() })
					backends, columns = append(backends, be), append(columns, fmt.Sprintf("%8s", name))
				}
			}
			for b.Loop() {
				var table strings.Builder
				ratios, compared := 1.0, 0
				fmt.Fprintf(&table, "\n%-18s %s    own/blas", "", strings.Join(columns, " "))
				for _, p := range products {
					fmt.Fprintf(&table, "\n%-18s", p.name)
					own, library := 0.0, 0.0
					for i, speed := range race(backends, p) {
						fmt.Fprintf(&table, " %8.1f", speed)
						if strings.TrimSpace(columns[i]) == "blas" {
							library = speed
						} else {
							own = max(own, speed)
						}
					}
					if library > 0 {
						fmt.Fprintf(&table, " %8.2f", own/library)
						ratios *= own / library
						compared++
					}
				}
				b.Log(table.String())
				if compared > 0 {
					b.ReportMetric(math.Pow(ratios, 1/float64(compared)), "own/blas")
				}
			}
		})
	}
}

// race is the GFLOP/s of each backend.
func race(backends []backend.Backend, p product) []float64 {
	flop := 2 * float64(p.m) * float64(p.n) * float64(p.k)
	repeat := max(1, int(2e8/flop))
	lda, ldb := p.k, p.n
	if p.ta {
		lda = p.m
	}
	if p.tb {
		ldb = p.k
	}
	best := make([]float64, len(backends))
	scopes := make([]backend.Scope, len(backends))
	mats := make([][3]backend.Buffer, len(backends))
	for i, be := range backends {
		scopes[i] = be.NewScope()
		defer scopes[i].End()
		for j, n := range []int{p.m * p.k, p.k * p.n, p.m * p.n} {
			mats[i][j] = scopes[i].Alloc(n)
			be.Fill(mats[i][j], 0.5)
		}
	}
	for range 12 {
		for i, be := range backends {
			m := mats[i]
			start := time.Now()
			for range repeat {
				be.Gemm(p.ta, p.tb, p.m, p.n, p.k, 1, backend.Mat{Buf: m[0], LD: lda}, backend.Mat{Buf: m[1], LD: ldb}, 0, backend.Mat{Buf: m[2], LD: p.n})
			}
			best[i] = max(best[i], flop*float64(repeat)/time.Since(start).Seconds()/1e9)
		}
	}
	return best
}
