package ops_test

import (
	"math"
	"math/rand/v2"
	"testing"

	"github.com/nlpodyssey/spago/ag"

	"github.com/so8t/so8t/stages/internal/backend"
	"github.com/so8t/so8t/stages/internal/ops"
	"github.com/so8t/so8t/stages/internal/tensor"
)

// pet is the penalty on hidden states [rows, cols] in segments, per triple, and its gradient.
func pet(t *testing.T, be backend.Backend, cols int, h []float64, lengths ...int) (value float64, grad []float64) {
	t.Helper()
	sc := be.NewScope()
	defer sc.End()
	var d backend.PackingData
	for i, n := range lengths {
		d.Segments = append(d.Segments, backend.Segment{Start: d.Rows, Len: n, ID: uint64(i)})
		d.Rows += n
	}
	x := tensor.Wrap(be, sc, put(be, h), d.Rows, cols)
	x.SetRequiresGrad(true)
	pk := be.Pack(d)
	v := ops.PET(x, pk, 1/float64(max(1, pk.Triples())))
	if err := ag.Backward(v); err != nil {
		t.Fatal(err)
	}
	grad = make([]float64, len(h))
	be.Download64(grad, tensor.Of(x.Grad()).Buffer())
	if err := be.Err(); err != nil {
		t.Fatal(err)
	}
	return v.Item().F64(), grad
}

// states fills [rows, cols] from a function of row and column.
func states(rows, cols int, f func(t, c int) float64) []float64 {
	h := make([]float64, rows*cols)
	for i := range h {
		h[i] = f(i/cols, i%cols)
	}
	return h
}

func TestPET_RampScoresNothing(t *testing.T) {
	const cols = 16
	for limit, be := range backends(t) {
		v, g := pet(t, be, cols, states(40, cols, func(t, c int) float64 { return float64(t*(c-7)) / 8 }), 40)
		if v != 0 { // eighths: every difference is exact, in float32 too
			t.Errorf("%g: a ramp scores %v", limit, v)
		}
		for _, x := range g {
			if x != 0 {
				t.Fatalf("%g: a ramp has a gradient of %v", limit, x)
			}
		}
	}
}

// White noise scores 1 whatever its size, a vector that changes its sign at every token 16/6.
func TestPET_IsFreeOfScale(t *testing.T) {
	const cols, rows = 64, 400
	for limit, be := range backends(t) {
		for _, size := range []float64{0.03, 1, 50} {
			rng := rand.New(rand.NewPCG(1, 2))
			noise := states(rows, cols, func(int, int) float64 { return size * rng.NormFloat64() })
			if v, _ := pet(t, be, cols, noise, rows); math.Abs(v-1) > 0.03 {
				t.Errorf("%g: white noise of size %v scores %v, want 1", limit, size, v)
			}
			turns := states(rows, cols, func(t, c int) float64 { return size * float64(1-2*(t%2)) * (1 + float64(c)/cols) })
			if v, _ := pet(t, be, cols, turns, rows); math.Abs(v-16.0/6) > 1e-4 {
				t.Errorf("%g: turns of size %v score %v, want 16/6", limit, size, v)
			}
		}
	}
}

// Three tokens of one sequence make a triple: two do not, nor do those of neighbours.
func TestPET_TriplesLieInOneSequence(t *testing.T) {
	const cols = 8
	wild := states(6, cols, func(t, c int) float64 { return float64((t*t*t+c)%7) - 3 })
	for limit, be := range backends(t) {
		if v, g := pet(t, be, cols, wild, 2, 1, 2, 1); v != 0 || g[0] != 0 {
			t.Errorf("%g: sequences of two tokens and fewer score %v", limit, v)
		}
		alone, ga := pet(t, be, cols, wild[:3*cols], 3)
		beside, gb := pet(t, be, cols, wild, 3, 2, 1)
		if alone == 0 || alone != beside {
			t.Errorf("%g: three tokens score %v, beside others %v", limit, alone, beside)
		}
		for i, x := range gb {
			if i < len(ga) && x != ga[i] || i >= len(ga) && x != 0 {
				t.Fatalf("%g: gradient %d is %v", limit, i, x)
			}
		}
	}
}
