// Package metrics computes what calibrate, eval and `so8t model score` report: classification,
// calibration, comparison of two models and repetition of long texts. All in float64; `log` is
// natural. Every definition stands beside its code; testdata holds values computed with numpy,
// scipy and scikit-learn. An undefined value is nil, never 0.
package metrics

import (
	"fmt"
	"math"
)

// Labels of triple reasoning, from the most permissive to the most restrictive.
var Labels = []string{"ALLOW", "ESCALATION", "DENY"}

// Kind says what the rows of a Set are.
type Kind int

const (
	Logits Kind = iota // any real numbers; a softmax makes them probabilities
	Probs              // probabilities, used as they are
)

// InputError says what is wrong with the rows. Row is 0-based, -1 when it is none.
type InputError struct {
	Class  string // empty, bad-shape, bad-label, non-finite, bad-probability
	Row    int
	Detail string
}

func (e *InputError) Error() string {
	if e.Row < 0 {
		return fmt.Sprintf("%s: %s", e.Class, e.Detail)
	}
	return fmt.Sprintf("row %d: %s: %s", e.Row+1, e.Class, e.Detail)
}

// Set holds n rows of K scores with their true labels.
type Set struct {
	labels []string
	kind   Kind
	x      [][]float64 // [n][K] as given
	y      []int       // [n] true label
	p      [][]float64 // [n][K] probabilities at temperature 1
	logp   []float64   // [n] log probability of the true label
	pred   []int       // [n]
}

// sumTolerance is how far the probabilities of a row may be from a sum of 1.
const sumTolerance = 1e-6

// NewSet checks the rows and computes probabilities and predictions. The slices are kept.
func NewSet(labels []string, kind Kind, x [][]float64, y []int) (*Set, error) {
	if len(x) == 0 {
		return nil, &InputError{"empty", -1, "there are no rows"}
	}
	if len(x) != len(y) {
		return nil, &InputError{"bad-shape", -1, fmt.Sprintf("%d rows but %d labels", len(x), len(y))}
	}
	for i, row := range x {
		if err := checkRow(len(labels), kind, i, row, y[i]); err != nil {
			return nil, err
		}
	}
	s := &Set{labels: labels, kind: kind, x: x, y: y}
	s.p, s.logp = s.probabilities(1)
	s.pred = make([]int, len(x))
	for i, row := range x {
		s.pred[i] = Argmax(row)
	}
	return s, nil
}

func checkRow(k int, kind Kind, i int, row []float64, y int) error {
	if len(row) != k {
		return &InputError{"bad-shape", i, fmt.Sprintf("%d values instead of %d", len(row), k)}
	}
	if y < 0 || y >= k {
		return &InputError{"bad-label", i, fmt.Sprintf("label index %d is not in 0…%d", y, k-1)}
	}
	sum := 0.0
	for _, v := range row {
		if math.IsNaN(v) || math.IsInf(v, 0) {
			return &InputError{"non-finite", i, fmt.Sprintf("value %v", v)}
		}
		if kind == Probs && (v < 0 || v > 1) {
			return &InputError{"bad-probability", i, fmt.Sprintf("%v is not in [0, 1]", v)}
		}
		sum += v
	}
	if kind == Probs && math.Abs(sum-1) > sumTolerance {
		return &InputError{"bad-probability", i, fmt.Sprintf("the row sums to %v, not 1", sum)}
	}
	return nil
}

// Argmax returns the index of the largest value; a tie goes to the later, more restrictive
// label, so that a tie never counts as an ALLOW.
func Argmax(row []float64) int {
	best := 0
	for k, v := range row {
		if v >= row[best] {
			best = k
		}
	}
	return best
}

// probabilities returns softmax(x/T) and log p of the true label, by log-sum-exp. Given
// probabilities stay as they are, log p with the floor log 2⁻⁵² that scikit-learn's log_loss has.
func (s *Set) probabilities(temperature float64) (p [][]float64, logp []float64) {
	p = make([][]float64, len(s.x))
	logp = make([]float64, len(s.x))
	for i, row := range s.x {
		if s.kind == Probs {
			p[i] = row
			logp[i] = math.Log(max(row[s.y[i]], math.Pow(2, -52)))
			continue
		}
		p[i] = Softmax(row, temperature)
		logp[i] = row[s.y[i]]/temperature - logSumExp(row, temperature)
	}
	return p, logp
}

// Tempered is the same set with its probabilities at a temperature; what is predicted stays.
func (s *Set) Tempered(temperature float64) *Set {
	t := *s
	t.p, t.logp = s.probabilities(temperature)
	return &t
}

// Softmax returns e_k/Σe with e = exp(z/T − max).
func Softmax(z []float64, temperature float64) []float64 {
	p := make([]float64, len(z))
	high := math.Inf(-1)
	for _, v := range z {
		high = max(high, v/temperature)
	}
	sum := 0.0
	for k, v := range z {
		p[k] = math.Exp(v/temperature - high)
		sum += p[k]
	}
	for k := range p {
		p[k] /= sum
	}
	return p
}

func logSumExp(z []float64, temperature float64) float64 {
	high := math.Inf(-1)
	for _, v := range z {
		high = max(high, v/temperature)
	}
	sum := 0.0
	for _, v := range z {
		sum += math.Exp(v/temperature - high)
	}
	return high + math.Log(sum)
}

// N is the number of rows.
func (s *Set) N() int { return len(s.x) }

// Predictions returns the predicted label of every row.
func (s *Set) Predictions() []int { return s.pred }
