// Package ngram is the baseline that a model has to be held against: multinomial logistic
// regression on which character 1- to 4-grams a text holds. It knows words, not what they do.
package ngram

import (
	"math"
	"math/rand/v2"
	"slices"
)

const longest = 4 // characters (code points) of the longest gram

// Fitting: AdaGrad over so many passes with an L2 penalty of ½|w|², as in scikit-learn with C = 1.
const (
	passes   = 12
	rate     = 0.1
	biasRate = 0.01
	minCount = 2 // grams seen in fewer texts carry no weight
)

// Model gives each of K labels a probability.
type Model struct {
	index   map[string]int
	weights [][]float64 // [gram][K]
	bias    []float64   // [K]
}

// Fit learns from texts and their label indices below k. The same input gives the same model.
func Fit(texts []string, labels []int, k int) *Model {
	m := &Model{index: map[string]int{}, bias: make([]float64, k)}
	counts := map[string]int{}
	for _, t := range texts {
		for g := range grams(t) {
			counts[g]++
		}
	}
	var names []string
	for g, n := range counts {
		if n >= minCount {
			names = append(names, g)
		}
	}
	slices.Sort(names)
	frequency := make([]float64, len(names))
	for i, g := range names {
		m.index[g], frequency[i] = i, float64(counts[g])
	}
	m.weights = matrix(len(names), k)
	features := make([][]int, len(texts))
	for i, t := range texts {
		features[i] = m.features(t)
	}
	m.fit(features, labels, frequency)
	return m
}

func (m *Model) fit(features [][]int, labels []int, frequency []float64) {
	squares := matrix(len(m.weights), len(m.bias))
	random := rand.New(rand.NewPCG(1, 1))
	for range passes {
		for _, i := range random.Perm(len(features)) {
			residual := m.probs(features[i])
			residual[labels[i]]--
			for k, r := range residual {
				m.bias[k] -= biasRate * r
			}
			for _, f := range features[i] {
				for k, r := range residual {
					// The penalty of a weight is spread over the texts that hold its gram.
					d := r + m.weights[f][k]/frequency[f]
					squares[f][k] += d * d
					m.weights[f][k] -= rate * d / (1e-3 + math.Sqrt(squares[f][k]))
				}
			}
		}
	}
}

// Probs returns the probability of each label.
func (m *Model) Probs(text string) []float64 { return m.probs(m.features(text)) }

func (m *Model) probs(features []int) []float64 {
	z := slices.Clone(m.bias)
	for _, f := range features {
		for k, w := range m.weights[f] {
			z[k] += w
		}
	}
	top, sum := slices.Max(z), 0.0
	for k := range z {
		z[k] = math.Exp(z[k] - top)
		sum += z[k]
	}
	for k := range z {
		z[k] /= sum
	}
	return z
}

func (m *Model) features(text string) []int {
	var f []int
	for g := range grams(text) {
		if i, ok := m.index[g]; ok {
			f = append(f, i)
		}
	}
	slices.Sort(f) // sums are in a fixed order
	return f
}

func grams(text string) map[string]bool {
	set := map[string]bool{}
	r := []rune(text)
	for n := 1; n <= longest; n++ {
		for i := 0; i+n <= len(r); i++ {
			set[string(r[i:i+n])] = true
		}
	}
	return set
}

func matrix(rows, columns int) [][]float64 {
	m := make([][]float64, rows)
	for i := range m {
		m[i] = make([]float64, columns)
	}
	return m
}
