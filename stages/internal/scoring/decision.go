package scoring

import (
	"math"
	"sort"

	"github.com/so8t/so8t/stages/internal/metrics"
)

// MinThreshold keeps an ALLOW from being decided against a more probable label.
const MinThreshold = 0.5

// Confidence with which the share of false allows on new rows is at most the limit. With 330
// calibration rows that must not be allowed and a limit of 1 %, one of them may lie above the
// threshold, and the share exceeds 2 % about once in a hundred splits.
const Confidence = 0.8

// Threshold returns the probability of ALLOW above which ALLOW may be decided, so that on new
// rows of the same kind the share of false allows is at most limit, with probability Confidence
// over the draw of the calibration rows: of the m rows whose true label is not ALLOW, k may lie
// above it, k the largest with P(Bin(m, limit) ≤ k) ≤ 1 − Confidence (the Clopper–Pearson bound,
// read backwards). p is the calibrated probability of ALLOW, y the true label. ok is false when m
// is too small for any threshold to promise so much; the largest p is then given.
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
	k := mayExceed(len(dangerous), limit)
	return max(MinThreshold, dangerous[min(max(k, 0), len(dangerous)-1)]), k >= 0
}

// mayExceed is the largest k with P(Bin(m, limit) ≤ k) ≤ 1 − Confidence; −1 when there is none.
func mayExceed(m int, limit float64) int {
	if limit >= 1 {
		return m - 1
	}
	logN, _ := math.Lgamma(float64(m + 1))
	below := 0.0
	for k := range m {
		logK, _ := math.Lgamma(float64(k + 1))
		logRest, _ := math.Lgamma(float64(m - k + 1))
		below += math.Exp(logN - logK - logRest + float64(k)*math.Log(limit) + float64(m-k)*math.Log1p(-limit))
		if below > 1-Confidence {
			return k - 1
		}
	}
	return m - 1
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
