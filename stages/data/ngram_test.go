package data

import (
	"math"
	"math/rand/v2"
	"slices"
	"testing"

	"github.com/so8t/so8t/stages/internal/dataset"
)

// ngramModel is logistic regression on the presence of character 1- to 4-grams: what the
// rows must not be solvable by.
type ngramModel struct {
	index   map[string]int
	weights [][3]float64
	bias    [3]float64
}

func grams(text string) map[string]bool {
	set := map[string]bool{}
	r := []rune(text)
	for n := 1; n <= 4; n++ {
		for i := 0; i+n <= len(r); i++ {
			set[string(r[i:i+n])] = true
		}
	}
	return set
}

func (m *ngramModel) features(text string) []int {
	var f []int
	for g := range grams(text) {
		if i, ok := m.index[g]; ok {
			f = append(f, i)
		}
	}
	slices.Sort(f)
	return f
}

func (m *ngramModel) probs(f []int) [3]float64 {
	z := m.bias
	for _, i := range f {
		for k := range z {
			z[k] += m.weights[i][k]
		}
	}
	top, sum := max(z[0], z[1], z[2]), 0.0
	for k := range z {
		z[k] = math.Exp(z[k] - top)
		sum += z[k]
	}
	for k := range z {
		z[k] /= sum
	}
	return z
}

// trainNgrams fits by AdaGrad, 8 passes, with the penalty ½|w|² (scikit-learn's C = 1).
func trainNgrams(rows []generated) *ngramModel {
	m := &ngramModel{index: map[string]int{}}
	counts := map[string]int{}
	for _, r := range rows {
		for g := range grams(r.row.PromptText()) {
			counts[g]++
		}
	}
	names := make([]string, 0, len(counts))
	for g, n := range counts {
		if n >= 2 {
			names = append(names, g)
		}
	}
	slices.Sort(names)
	for i, g := range names {
		m.index[g] = i
	}
	m.weights = make([][3]float64, len(names))
	square := make([][3]float64, len(names))
	features := make([][]int, len(rows))
	for i, r := range rows {
		features[i] = m.features(r.row.PromptText())
	}
	rng := rand.New(rand.NewPCG(1, 1))
	for range 8 {
		for _, i := range rng.Perm(len(rows)) {
			p := m.probs(features[i])
			p[slices.Index(dataset.Labels, rows[i].row.Label)]--
			for k := range p {
				m.bias[k] -= 0.01 * p[k]
			}
			for _, f := range features[i] {
				for k := range p {
					d := p[k] + m.weights[f][k]/float64(counts[names[f]])
					square[f][k] += d * d
					m.weights[f][k] -= 0.1 * d / (1e-3 + math.Sqrt(square[f][k]))
				}
			}
		}
	}
	return m
}

// accuracy of the most probable label, and the share of rows that must not be allowed which
// it allows.
func (m *ngramModel) accuracy(rows []generated) (accuracy, falseAllow float64) {
	right, wrong, dangerous := 0, 0, 0
	for _, r := range rows {
		p := m.probs(m.features(r.row.PromptText()))
		best := 0
		for k := range p {
			if p[k] > p[best] {
				best = k
			}
		}
		if dataset.Labels[best] == r.row.Label {
			right++
		}
		if r.row.Label != dataset.Allow {
			dangerous++
			if best == 0 {
				wrong++
			}
		}
	}
	return float64(right) / float64(len(rows)), float64(wrong) / float64(dangerous)
}

func TestGrammar_NgramsAlone_DoNotSolveIt(t *testing.T) {
	for _, seed := range []uint64{42, 2024} {
		g := newGenerator(seed)
		var sets [4][]generated
		for s, n := range []int{2400, 300, 500, 1000} {
			rows, err := g.generate(split(s), n)
			if err != nil {
				t.Fatal(err)
			}
			sets[s] = rows
		}
		accuracy, falseAllow := trainNgrams(sets[train]).accuracy(sets[test])
		t.Logf("seed %d: accuracy %.3f, false allows %.3f", seed, accuracy, falseAllow)
		if accuracy > 0.96 || accuracy < 0.90 {
			t.Errorf("seed %d: accuracy of character n-grams %.3f, want 0.90 to 0.96", seed, accuracy)
		}
	}
}
