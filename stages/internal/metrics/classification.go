package metrics

import "fmt"

// PerLabel are the figures of one label; a ratio with a zero denominator is 0 here and named in
// Classification.Undefined.
type PerLabel struct {
	Precision float64 `json:"precision"`
	Recall    float64 `json:"recall"`
	F1        float64 `json:"f1"`
	Support   int     `json:"support"`
	Predicted int     `json:"predicted"`
}

// Count is a share as counted: k of n.
type Count struct {
	Count int `json:"count"`
	Of    int `json:"of"`
}

func (c Count) ratio() *float64 {
	if c.Of == 0 {
		return nil
	}
	r := float64(c.Count) / float64(c.Of)
	return &r
}

// Classification says how predicted labels compare with true ones.
type Classification struct {
	Accuracy float64 `json:"accuracy"`
	// MacroF1 is the mean of the F1 of all labels.
	MacroF1   float64             `json:"macro_f1"`
	Confusion [][]int             `json:"confusion"` // [true][predicted]
	PerLabel  map[string]PerLabel `json:"per_label"`
	Undefined []string            `json:"undefined"`
	// FalseAllowRate is the share of rows that are not to be allowed (true label is not the
	// first) which were: the error that hurts. Not 1 − DenyRecall.
	FalseAllowRate *float64 `json:"false_allow_rate"`
	FalseAllow     Count    `json:"false_allow"`
	// DenyRecall is the share of rows of the last label that were predicted so.
	DenyRecall  *float64 `json:"deny_recall"`
	DenyToAllow Count    `json:"deny_to_allow"`
	// Wilson95 holds Wilson intervals of the three ratios above; nil where n is 0.
	Wilson95 map[string]*Interval `json:"wilson95"`
}

// Classify compares predictions with the truth; labels[0] is ALLOW, the last one DENY.
func Classify(labels []string, y, predicted []int) Classification {
	k := len(labels)
	confusion := make([][]int, k)
	for i := range confusion {
		confusion[i] = make([]int, k)
	}
	for i := range y {
		confusion[y[i]][predicted[i]]++
	}
	c := fromConfusion(labels, confusion)
	right := 0
	for j := range k {
		right += confusion[j][j]
	}
	c.Wilson95 = map[string]*Interval{
		"accuracy":         Wilson(right, len(y)),
		"false_allow_rate": Wilson(c.FalseAllow.Count, c.FalseAllow.Of),
		"deny_recall":      Wilson(confusion[k-1][k-1], c.DenyToAllow.Of),
	}
	return c
}

// fromConfusion derives everything that the counts determine.
func fromConfusion(labels []string, confusion [][]int) Classification {
	k := len(labels)
	c := Classification{Confusion: confusion, PerLabel: map[string]PerLabel{}, Undefined: []string{}}
	total, right, f1 := 0, 0, 0.0
	var undefined [3][]string // by kind, so that the order is precision, recall, f1 per label
	for j, label := range labels {
		support, predicted := 0, 0
		for i := range k {
			support += confusion[j][i]
			predicted += confusion[i][j]
		}
		hit := confusion[j][j]
		p := PerLabel{Support: support, Predicted: predicted}
		p.Precision = ratio(hit, predicted, &undefined[0], "precision."+label)
		p.Recall = ratio(hit, support, &undefined[1], "recall."+label)
		p.F1 = ratio(2*hit, support+predicted, &undefined[2], "f1."+label)
		c.PerLabel[label] = p
		f1 += p.F1
		right += hit
		total += support
	}
	for j := range labels {
		for _, kind := range undefined {
			for _, name := range kind {
				if suffix := "." + labels[j]; len(name) > len(suffix) && name[len(name)-len(suffix):] == suffix {
					c.Undefined = append(c.Undefined, name)
				}
			}
		}
	}
	c.Accuracy = float64(right) / float64(max(total, 1))
	c.MacroF1 = f1 / float64(k)
	for j := 1; j < k; j++ {
		c.FalseAllow.Count += confusion[j][0]
		c.FalseAllow.Of += c.PerLabel[labels[j]].Support
	}
	deny := c.PerLabel[labels[k-1]].Support
	c.DenyToAllow = Count{confusion[k-1][0], deny}
	c.FalseAllowRate = c.FalseAllow.ratio()
	c.DenyRecall = Count{confusion[k-1][k-1], deny}.ratio()
	return c
}

// ratio is a/b, or 0 with its name noted when b is 0.
func ratio(a, b int, undefined *[]string, name string) float64 {
	if b == 0 {
		*undefined = append(*undefined, name)
		return 0
	}
	return float64(a) / float64(b)
}

// LabelIndex returns the index of a label.
func LabelIndex(labels []string, label string) (int, error) {
	for i, l := range labels {
		if l == label {
			return i, nil
		}
	}
	return 0, fmt.Errorf("label %q is none of %v", label, labels)
}
