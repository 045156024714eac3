package metrics

import "math"

// Comparison sets two models against each other on the same rows; differences are b − a.
type Comparison struct {
	OnlyARight int `json:"only_a_right"`
	OnlyBRight int `json:"only_b_right"`
	// McNemarP is the exact two-sided p: min(1, 2·P(X ≤ min(b, c))), X ~ Bin(b+c, ½).
	McNemarP        float64               `json:"mcnemar_p"`
	Difference      map[string]*float64   `json:"difference"`
	PairedBootstrap map[string]Percentile `json:"paired_bootstrap"`
}

// Compare compares the predictions a and b of the rows with true labels y.
func Compare(labels []string, y, a, b []int, resamples [][]int) Comparison {
	c := Comparison{PairedBootstrap: map[string]Percentile{}}
	all := make([]int, len(y))
	for i := range y {
		all[i] = i
		switch {
		case a[i] == y[i] && b[i] != y[i]:
			c.OnlyARight++
		case a[i] != y[i] && b[i] == y[i]:
			c.OnlyBRight++
		}
	}
	c.McNemarP = mcNemar(c.OnlyARight, c.OnlyBRight)
	c.Difference = differences(labels, y, a, b, all)
	values := map[string][]float64{}
	for _, idx := range resamples {
		for name, d := range differences(labels, y, a, b, idx) {
			if d != nil {
				values[name] = append(values[name], *d)
			}
		}
	}
	for name := range c.Difference {
		c.PairedBootstrap[name] = percentile(values[name])
	}
	return c
}

func differences(labels []string, y, a, b, idx []int) map[string]*float64 {
	ca, cb := confusionOf(labels, y, a, idx), confusionOf(labels, y, b, idx)
	accuracy, f1 := cb.Accuracy-ca.Accuracy, cb.MacroF1-ca.MacroF1
	var falseAllow *float64
	if ca.FalseAllowRate != nil && cb.FalseAllowRate != nil {
		d := *cb.FalseAllowRate - *ca.FalseAllowRate
		falseAllow = &d
	}
	return map[string]*float64{"accuracy": &accuracy, "macro_f1": &f1, "false_allow_rate": falseAllow}
}

func confusionOf(labels []string, y, predicted, idx []int) Classification {
	confusion := make([][]int, len(labels))
	for i := range confusion {
		confusion[i] = make([]int, len(labels))
	}
	for _, i := range idx {
		confusion[y[i]][predicted[i]]++
	}
	return fromConfusion(labels, confusion)
}

// mcNemar sums the binomial in logarithms, so that thousands of disagreements do not overflow.
func mcNemar(b, c int) float64 {
	n := b + c
	if n == 0 {
		return 1
	}
	logN, _ := math.Lgamma(float64(n + 1))
	tail := 0.0
	for x := 0; x <= min(b, c); x++ {
		lx, _ := math.Lgamma(float64(x + 1))
		ly, _ := math.Lgamma(float64(n - x + 1))
		tail += math.Exp(logN - lx - ly - float64(n)*math.Ln2)
	}
	return min(1, 2*tail)
}
