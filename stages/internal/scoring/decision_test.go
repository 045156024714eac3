package scoring

import (
	"math/rand/v2"
	"testing"
)

func TestDecide(t *testing.T) {
	for _, c := range []struct {
		p         []float64
		threshold float64
		want      int
	}{
		{[]float64{0.95, 0.03, 0.02}, 0.9, 0},
		{[]float64{0.9, 0.06, 0.04}, 0.9, 1},
		{[]float64{0.9, 0.05, 0.05}, 0.9, 2}, // a tie goes to the more restrictive
		{[]float64{0.1, 0.2, 0.7}, 0.5, 2},
	} {
		if got := Decide(c.p, c.threshold); got != c.want {
			t.Errorf("%v at %v: %d, want %d", c.p, c.threshold, got, c.want)
		}
	}
}

// Over many draws the rate of false allows on new rows exceeds the limit no more often than
// promised, and the threshold is not needlessly high.
func TestThreshold_HoldsOnNewRows(t *testing.T) {
	r := rand.New(rand.NewPCG(3, 4))
	// Scores of rows that must not be allowed are uniform, so the true rate above a threshold of
	// at least one half is known: 1 − threshold.
	const limit, rounds = 0.01, 2000
	exceeded, mean := 0, 0.0
	for range rounds {
		p, y := make([]float64, 450), make([]int, 450)
		for i := range p {
			p[i], y[i] = r.Float64(), i%3
		}
		threshold, ok := Threshold(p, y, limit)
		if !ok {
			t.Fatal("300 rows are enough for 1 %")
		}
		rate := 1 - threshold
		mean += rate / rounds
		if rate > limit {
			exceeded++
		}
	}
	if share := float64(exceeded) / rounds; share > 1-Confidence+0.03 {
		t.Errorf("the limit is exceeded in %.3f of the splits, want at most %.2f", share, 1-Confidence)
	}
	if mean < limit/3 {
		t.Errorf("mean false-allow rate %.4f: the threshold is needlessly high", mean)
	}
}

func TestThreshold_SaysWhenThereAreTooFewRows(t *testing.T) {
	if threshold, ok := Threshold([]float64{0.9, 0.2, 0.6}, []int{0, 1, 2}, 0.01); ok || threshold != 0.6 {
		t.Errorf("got %v, %v", threshold, ok)
	}
}
