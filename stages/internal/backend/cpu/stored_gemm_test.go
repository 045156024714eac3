package cpu_test

import (
	"fmt"
	"math"
	"math/rand/v2"
	"slices"
	"testing"

	"github.com/so8t/so8t/stages/internal/backend"
	"github.com/so8t/so8t/stages/internal/backend/cpu"
)

// A product with a stored weight has the bits of one with the same numbers in f32, whatever packs or widens them and on how many threads.
func TestStoredWeightsMultiplyLikePlainOnes(t *testing.T) {
	for _, kernels := range []string{"avx512", "avx2", "neon", "c", "asm", "go"} {
		for _, threads := range []int{1, 2} {
			t.Run(fmt.Sprintf("%s/%d", kernels, threads), func(t *testing.T) {
				be, err := cpu.Open(cpu.Options{Kernels: kernels, BLAS: "none", Threads: threads})
				if err != nil {
					t.Skip(err)
				}
				defer be.Close()
				for _, s := range [][3]int{{3, 70, 40}, {5, 33, 17}, {37, 300, 270}, {130, 70, 523}, {64, 1100, 96}} {
					for _, d := range storedWeights(s[1], s[2]) {
						compareStored(t, be, d, s[0])
					}
				}
				if err := be.Err(); err != nil {
					t.Fatal(err)
				}
			})
		}
	}
}

// storedWeights are random ones; each comes with its numbers in F32.
func storedWeights(rows, cols int) []backend.WeightData {
	rng := rand.New(rand.NewPCG(uint64(rows), uint64(cols)))
	n := rows * cols
	brain := backend.WeightData{Kind: backend.BFloat16, Rows: rows, Cols: cols, BF16: make([]uint16, n), F32: make([]float32, n)}
	codes := backend.WeightData{Kind: backend.Int8, Rows: rows, Cols: cols, Int8: make([]int8, n), Scales: make([]float32, rows), F32: make([]float32, n)}
	for i := range n {
		v := math.Float32bits(float32(rng.NormFloat64())) >> 16
		brain.BF16[i], brain.F32[i] = uint16(v), math.Float32frombits(v<<16)
		if i%cols == 0 {
			codes.Scales[i/cols] = rng.Float32()
		}
		codes.Int8[i] = int8(rng.IntN(255) - 127)
		codes.F32[i] = codes.Scales[i/cols] * float32(codes.Int8[i])
	}
	return []backend.WeightData{brain, codes}
}

func compareStored(t *testing.T, be backend.Backend, d backend.WeightData, rows int) {
	t.Helper()
	plain := be.NewWeight(backend.WeightData{Kind: backend.Float32, Rows: d.Rows, Cols: d.Cols, F32: d.F32})
	d.F32 = nil
	stored := be.NewWeight(d)
	for _, beta := range []float64{0, 1} {
		forward := func(w backend.Weight) []float32 {
			y := filled(be, rows*d.Rows, 1)
			be.Linear(y, filled(be, rows*d.Cols, 2), w, rows, beta)
			return numbers(be, y)
		}
		back := func(w backend.Weight) []float32 {
			gx := filled(be, rows*d.Cols, 1)
			be.LinearBack(gx, filled(be, rows*d.Rows, 3), w, rows, beta)
			return numbers(be, gx)
		}
		if !slices.Equal(forward(stored), forward(plain)) {
			t.Errorf("%d rows by %s %dx%d, beta %g: the bits differ from f32's", rows, d.Kind, d.Rows, d.Cols, beta)
		}
		if !slices.Equal(back(stored), back(plain)) {
			t.Errorf("gradient of %d rows by %s %dx%d, beta %g: the bits differ from f32's", rows, d.Kind, d.Rows, d.Cols, beta)
		}
	}
}

func filled(be backend.Backend, n int, seed uint64) backend.Buffer {
	rng, v := rand.New(rand.NewPCG(seed, seed)), make([]float32, n)
	for i := range v {
		v[i] = float32(rng.NormFloat64())
	}
	b := be.NewBuffer(n)
	be.Upload(b, v)
	return b
}

func numbers(be backend.Backend, b backend.Buffer) []float32 {
	v := make([]float32, b.Len())
	be.Download(v, b)
	return v
}
