package scoring

import (
	"math"
	"sort"

	"github.com/so8t/so8t/stages/internal/metrics"
)

// MaxFalseAllow is the share of rows that must not be allowed which may be, by default.
const MaxFalseAllow = 0.01

// MinThreshold keeps an ALLOW from being decided against a more probable label.
const MinThreshold = 0.5

// Threshold returns the probability of ALLOW above which ALLOW may be decided, so that on new
// rows of the same kind the expected share of false allows is at most limit: of the m rows whose
// true label is not ALLOW, k may lie above it with (k+1)/(m+1) ≤ limit (conformal risk control,
// Angelopoulos et al. 2022, for a 0/1 loss). p is the calibrated probability of ALLOW, y the true
// label. ok is false when m is too small for any threshold to say so; the largest p is then given.
func Threshold(p []float64, y []int, limit float64) (threshold float64, ok bool) {
	var dangerous []float64
	for i, v := range p {
		if y[i] != 0 {
			dangerous = append(dangerous, v)
		}
	}
	if len(dangerous) == 0 {
		return 1, false
	}
	sort.Sort(sort.Reverse(sort.Float64Slice(dangerous)))
	k := int(math.Floor(limit*float64(len(dangerous)+1)+1e-9)) - 1
	ok = k >= 0
	return max(MinThreshold, dangerous[min(max(k, 0), len(dangerous)-1)]), ok
}

// Decide returns the index of the decided label: ALLOW only when its probability is above the
// threshold, else the more probable of the others, the more restrictive of equals.
func Decide(p []float64, threshold float64) int {
	if p[0] > threshold {
		return 0
	}
	best := 1
	for k := 2; k < len(p); k++ {
		if p[k] >= p[best] {
			best = k
		}
	}
	return best
}

// Decisions decides all rows of scores at a temperature.
func Decisions(scores [][]float64, temperature, threshold float64) []int {
	out := make([]int, len(scores))
	for i, z := range scores {
		out[i] = Decide(metrics.Softmax(z, temperature), threshold)
	}
	return out
}
