package divergence

import (
	"math"
	"testing"
)

// By hand: p = (1/2, 1/4, 1/4), q = (1/4, 1/2, 1/4): KL = ln 2 / 4.
func TestTotals_ByHand(t *testing.T) {
	ln := func(x float64) float32 { return float32(math.Log(x)) }
	sums := totals{per: 1}
	sums.add([]float32{7 + ln(.5), 7 + ln(.25), 7 + ln(.25)}, []float32{ln(.25), ln(.5), ln(.25)}, 1)
	r := sums.report()
	if math.Abs(r.MeanKL-math.Ln2/4) > 1e-6 || math.Abs(r.Reference.Perplexity-4) > 1e-5 || math.Abs(r.Candidate.Perplexity-2) > 1e-5 || r.SameTop != 0 {
		t.Errorf("%+v", r)
	}
	if math.Abs(r.PerplexityRatio()-0.5) > 1e-6 || math.Abs(r.MaxLogit-7-math.Ln2) > 1e-5 || r.Chunks != 1 {
		t.Errorf("%+v", r)
	}
}
