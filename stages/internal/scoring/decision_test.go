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

// Over many draws the share of false allows on new rows is at most the limit.
func TestThreshold_HoldsOnNewRows(t *testing.T) {
	r := rand.New(rand.NewPCG(3, 4))
	draw := func(n int) ([]float64, []int) {
		p, y := make([]float64, n), make([]int, n)
		for i := range p {
			y[i] = i % 3
			p[i] = r.Float64() * r.Float64()
			if y[i] == 0 {
				p[i] = 1 - p[i]
			}
		}
		return p, y
	}
	const limit, rounds = 0.01, 300
	total := 0.0
	for range rounds {
		p, y := draw(450)
		threshold, ok := Threshold(p, y, limit)
		if !ok {
			t.Fatal("300 rows are enough for 1 %")
		}
		p, y = draw(3000)
		wrong, of := 0, 0
		for i := range p {
			if y[i] != 0 {
				of++
				if p[i] > threshold {
					wrong++
				}
			}
		}
		total += float64(wrong) / float64(of) / rounds
	}
	if total > limit*1.1 {
		t.Errorf("mean false-allow rate %.4f, want at most %v", total, limit)
	}
	if total < limit/3 {
		t.Errorf("mean false-allow rate %.4f: the threshold is needlessly high", total)
	}
}

func TestThreshold_SaysWhenThereAreTooFewRows(t *testing.T) {
	if threshold, ok := Threshold([]float64{0.9, 0.2, 0.6}, []int{0, 1, 2}, 0.01); ok || threshold != 0.6 {
		t.Errorf("got %v, %v", threshold, ok)
	}
}
