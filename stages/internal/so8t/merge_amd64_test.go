package so8t

import (
	"math"
	"math/rand/v2"
	"testing"
)

// TestMergeRows_AVX2IsTheSame: every bit, for ranks and widths that four and a strip do not divide.
func TestMergeRows_AVX2IsTheSame(t *testing.T) {
	if !withAVX2 {
		t.Skip("this processor has no AVX2")
	}
	r := rand.New(rand.NewPCG(1, 2))
	draw := func(n int) []float32 {
		v := make([]float32, n)
		for i := range v {
			v[i] = float32(r.NormFloat64() * math.Exp(r.NormFloat64()))
		}
		return v
	}
	for _, c := range []struct{ rows, in, rank int }{{2, 16, 4}, {8, 48, 1}, {9, 53, 7}, {16, 3072, 64}, {1, 32, 3}, {24, 15, 8}, {40, 160, 66}} {
		w, a, b := draw(c.rows*c.in), draw(c.rank*c.in), draw(c.rows*c.rank)
		merged := func(avx2 bool) []float32 {
			withAVX2 = avx2
			defer func() { withAVX2 = true }()
			got := append([]float32(nil), w...)
			if err := MergeRows(got, a, b, c.in, c.rank, 1.7); err != nil {
				t.Fatal(err)
			}
			return got
		}
		plain, fast := merged(false), merged(true)
		for i, v := range plain {
			if math.Float32bits(v) != math.Float32bits(fast[i]) {
				t.Fatalf("%+v: element %d is %v, in AVX2 %v", c, i, v, fast[i])
			}
		}
	}
}
