package divergence

import (
	"math"
	"testing"
)

// By hand: p = (1/4, 1/2, 1/4), q = (1/2, 1/4, 1/4): KL = ln 2 / 4.
func TestTotals_ByHand(t *testing.T) {
	ln := func(x float64) float32 { return float32(math.Log(x)) }
	sums := totals{per: 1}
	p, q := []float32{7 + ln(.25), 7 + ln(.5), 7 + ln(.25)}, []float32{ln(.5), ln(.25), ln(.25)}
	list := newPositions([][]int32{{2, 0}}, 0)
	for at := range p { // the vocabulary comes in three parts
		if err := list.add(at, 1, [][]float32{{p[at], 9}, {q[at], 9}}); err != nil {
			t.Fatal(err)
		}
	}
	for i := range list { // the second position has no next token
		sums.add(&list[i])
	}
	r := sums.report()
	if math.Abs(r.MeanKL-math.Ln2/4) > 1e-6 || math.Abs(r.Reference.Perplexity-4) > 1e-5 || math.Abs(r.Candidate.Perplexity-2) > 1e-5 || r.SameTop != 0 {
		t.Errorf("%+v", r)
	}
	if math.Abs(r.PerplexityRatio()-0.5) > 1e-6 || math.Abs(r.MaxLogit-7-math.Ln2) > 1e-5 || r.Chunks != 1 {
		t.Errorf("%+v", r)
	}
}
