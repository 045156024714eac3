package metrics

import (
	"math"
	"math/rand/v2"
	"sort"
)

// Interval is a two-sided 95 % interval.
type Interval [2]float64

// z975 is the 0.975 quantile of the normal distribution.
const z975 = 1.959963984540054

// Wilson is the score interval for k of n, without continuity correction; nil for n = 0.
func Wilson(k, n int) *Interval {
	if n == 0 {
		return nil
	}
	p, m := float64(k)/float64(n), float64(n)
	z2 := z975 * z975
	centre := (p + z2/(2*m)) / (1 + z2/m)
	half := z975 / (1 + z2/m) * math.Sqrt(p*(1-p)/m+z2/(4*m*m))
	i := Interval{centre - half, centre + half}
	if k == 0 {
		i[0] = 0
	}
	if k == n {
		i[1] = 1
	}
	return &i
}

// Percentile is a bootstrap interval; Defined counts the resamples in which the metric exists.
// Lo and Hi are nil when there is none.
type Percentile struct {
	Lo      *float64 `json:"lo"`
	Hi      *float64 `json:"hi"`
	Defined int      `json:"defined"`
}

// Resamples draws the indices of resamples with replacement, deterministic by seed.
func Resamples(n, count int, seed uint64) [][]int {
	r := rand.New(rand.NewPCG(seed, 0x9e3779b97f4a7c15))
	all := make([][]int, count)
	for i := range all {
		all[i] = make([]int, n)
		for j := range all[i] {
			all[i][j] = r.IntN(n)
		}
	}
	return all
}

// Bootstrap returns 95 % percentile intervals of the main metrics over the given resamples.
func (s *Set) Bootstrap(resamples [][]int, bins int) map[string]Percentile {
	values := map[string][]float64{}
	for _, idx := range resamples {
		for name, v := range s.resampled(idx, bins) {
			if v != nil {
				values[name] = append(values[name], *v)
			}
		}
	}
	return percentiles(values)
}

// bootstrapped names what Bootstrap gives, so that a metric which is never defined is there too.
var bootstrapped = []string{"accuracy", "macro_f1", "false_allow_rate", "deny_recall", "nll", "brier", "ece"}

func percentiles(values map[string][]float64) map[string]Percentile {
	out := map[string]Percentile{}
	for _, name := range bootstrapped {
		out[name] = percentile(values[name])
	}
	return out
}

func percentile(v []float64) Percentile {
	if len(v) == 0 {
		return Percentile{}
	}
	sort.Float64s(v)
	lo, hi := Quantile(v, 0.025), Quantile(v, 0.975)
	return Percentile{&lo, &hi, len(v)}
}

// Quantile interpolates linearly between order statistics (Hyndman and Fan, type 7).
func Quantile(sorted []float64, q float64) float64 {
	at := q * float64(len(sorted)-1)
	i := int(at)
	if i+1 >= len(sorted) {
		return sorted[len(sorted)-1]
	}
	return sorted[i] + (at-float64(i))*(sorted[i+1]-sorted[i])
}

// resampled computes the bootstrapped metrics of the rows idx.
func (s *Set) resampled(idx []int, bins int) map[string]*float64 {
	k := len(s.labels)
	confusion := make([][]int, k)
	for i := range confusion {
		confusion[i] = make([]int, k)
	}
	conf, correct := make([]float64, len(idx)), make([]bool, len(idx))
	n := float64(len(idx))
	nll, brier := 0.0, 0.0
	for j, i := range idx {
		confusion[s.y[i]][s.pred[i]]++
		conf[j], correct[j] = s.p[i][s.pred[i]], s.pred[i] == s.y[i]
		nll -= s.logp[i] / n
		for c, v := range s.p[i] {
			brier += square(v-claim(s.y[i] == c)) / n
		}
	}
	c := fromConfusion(s.labels, confusion)
	ece, _ := gaps(equalWidth(conf, correct, bins), len(idx))
	return map[string]*float64{
		"accuracy": &c.Accuracy, "macro_f1": &c.MacroF1, "false_allow_rate": c.FalseAllowRate,
		"deny_recall": c.DenyRecall, "nll": &nll, "brier": &brier, "ece": &ece,
	}
}
