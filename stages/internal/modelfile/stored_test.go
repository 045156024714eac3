package modelfile

import (
	"math"
	"math/rand/v2"
	"slices"
	"testing"

	"github.com/so8t/so8t/stages/internal/backend"
	"github.com/so8t/so8t/stages/internal/backend/cpu"
	"github.com/so8t/so8t/stages/internal/quant"
)

// What a file holds is what is computed with: a product with stored blocks has the bits of one with the numbers
// that they decode to, for a few rows (where the kernels read blocks) and for many.
func TestStoredWeights_SameBitsAsTheirNumbers(t *testing.T) {
	const out, in = 13, 2304 // more than is decoded at a time, and a part
	rng := rand.New(rand.NewPCG(5, 6))
	numbers := make([]float32, out*in)
	for i := range numbers {
		numbers[i] = float32(rng.NormFloat64())
	}
	for _, kernels := range []string{"go", "asm", "c", "neon", "avx2", "avx512"} {
		be, err := cpu.Open(cpu.Options{Kernels: kernels, BLAS: "none", Threads: 2})
		if err != nil {
			continue // not this machine
		}
		for _, typ := range quant.Types {
			raw := make([]byte, typ.Bytes(len(numbers)))
			typ.Encode(raw, numbers)
			decoded := make([]float32, len(numbers))
			typ.Decode(decoded, raw)
			block := typ.Block()
			stored := be.NewWeight(backend.WeightData{Kind: backend.Blocks, Rows: out, Cols: in, Raw: raw,
				Format: backend.BlockFormat{Name: typ.String(), Elements: block, Bytes: typ.Bytes(block), Decode: typ.Decode}})
			plain := be.NewWeight(backend.WeightData{Rows: out, Cols: in, F32: decoded})
			for _, rows := range []int{1, 2, 3, 4, 5, 20} {
				x := make([]float32, rows*in)
				for i := range x {
					x[i] = float32(rng.NormFloat64())
				}
				if got, want := product(be, stored, x, rows), product(be, plain, x, rows); !slices.Equal(got, want) {
					t.Errorf("%s, %v, %d rows: other bits", kernels, typ, rows)
				}
			}
			if !slices.Equal(rowsOf(be, stored), decoded) {
				t.Errorf("%s, %v: the numbers are not those that the file holds", kernels, typ)
			}
		}
		if err := be.Err(); err != nil {
			t.Error(err)
		}
		be.Close()
	}
}

// product is the bits of y = x·Wᵀ + ½·y.
func product(be backend.Backend, w backend.Weight, x []float32, rows int) []uint32 {
	xb, y := be.NewBuffer(len(x)), be.NewBuffer(rows*w.Rows())
	be.Upload(xb, x)
	be.Fill(y, 0.25)
	be.Linear(y, xb, w, rows, 0.5)
	return bits(be, y)
}

func bits(be backend.Backend, b backend.Buffer) []uint32 {
	host := make([]float32, b.Len())
	be.Download(host, b)
	out := make([]uint32, len(host))
	for i, v := range host {
		out[i] = math.Float32bits(v)
	}
	return out
}

// rowsOf is a weight's numbers.
func rowsOf(be backend.Backend, w backend.Weight) []float32 {
	ids := make([]int32, w.Rows())
	for i := range ids {
		ids[i] = int32(i)
	}
	sc := be.NewScope()
	defer sc.End()
	out := be.NewBuffer(w.Rows() * w.Cols())
	be.Embed(out, w, sc.AllocInts(ids))
	host := make([]float32, out.Len())
	be.Download(host, out)
	return host
}
