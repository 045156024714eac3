package metrics

import (
	"math"
	"sort"
)

// edgeTolerance: a value this close to a bin's edge lies on it.
const edgeTolerance = 1e-12

// Bin is one bin of a reliability table; Acc and Conf are nil when it is empty.
type Bin struct {
	Bin  int      `json:"bin"`
	Lo   *float64 `json:"lo,omitempty"`
	Hi   *float64 `json:"hi,omitempty"`
	N    int      `json:"n"`
	Acc  *float64 `json:"acc"`
	Conf *float64 `json:"conf"`
}

// Calibration says how far probabilities can be believed.
type Calibration struct {
	NLL            float64 `json:"nll"`       // −mean log p of the true label
	Brier          float64 `json:"brier"`     // mean Σ_k (p_k − [y=k])², 0…2
	BrierTop       float64 `json:"brier_top"` // mean (conf − [correct])²
	MeanConfidence float64 `json:"mean_confidence"`
	ECE            float64 `json:"ece"`      // equal-width bins (lo, hi]
	ECEMass        float64 `json:"ece_mass"` // bins of equal mass
	MCE            float64 `json:"mce"`      // largest gap of the equal-width bins
	// ClasswiseECE is the mean over labels of the ECE of p_k against [y=k].
	ClasswiseECE        float64            `json:"classwise_ece"`
	ClasswiseECEByLabel map[string]float64 `json:"classwise_ece_by_label,omitempty"`
	Bins                []Bin              `json:"bins,omitempty"`
	BinsMass            []Bin              `json:"bins_mass,omitempty"`
}

// Calibrate computes the calibration of probabilities p against labels y; predicted is whose
// probability is the confidence; logp is log p of the true label.
func calibrate(labels []string, p [][]float64, logp []float64, y, predicted []int, bins int) Calibration {
	n := float64(len(y))
	conf := make([]float64, len(y))
	correct := make([]bool, len(y))
	c := Calibration{ClasswiseECEByLabel: map[string]float64{}}
	for i, row := range p {
		conf[i], correct[i] = row[predicted[i]], predicted[i] == y[i]
		c.NLL -= logp[i] / n
		c.MeanConfidence += conf[i] / n
		c.BrierTop += square(conf[i]-claim(correct[i])) / n
		for k, v := range row {
			c.Brier += square(v-claim(y[i] == k)) / n
		}
	}
	c.Bins = equalWidth(conf, correct, bins)
	c.ECE, c.MCE = gaps(c.Bins, len(y))
	c.BinsMass = equalMass(conf, correct, bins)
	c.ECEMass, _ = gaps(c.BinsMass, len(y))
	for k, label := range labels {
		for i := range p {
			conf[i], correct[i] = p[i][k], y[i] == k
		}
		ece, _ := gaps(equalWidth(conf, correct, bins), len(y))
		c.ClasswiseECEByLabel[label] = ece
		c.ClasswiseECE += ece / float64(len(labels))
	}
	return c
}

// binOf returns the equal-width bin (lo, hi] of a value in [0, 1]; 0 belongs to the first.
func binOf(v float64, bins int) int {
	b := int(math.Ceil(v*float64(bins))) - 1
	b = min(max(b, 0), bins-1)
	// The product rounds: put the value right against the edges as they are defined.
	for b > 0 && v <= float64(b)/float64(bins)+edgeTolerance {
		b--
	}
	for b < bins-1 && v > float64(b+1)/float64(bins)+edgeTolerance {
		b++
	}
	return b
}

func equalWidth(conf []float64, correct []bool, bins int) []Bin {
	count, hits, sum := make([]int, bins), make([]int, bins), make([]float64, bins)
	for i, v := range conf {
		b := binOf(v, bins)
		count[b]++
		sum[b] += v
		if correct[i] {
			hits[b]++
		}
	}
	out := make([]Bin, bins)
	for b := range out {
		lo, hi := float64(b)/float64(bins), float64(b+1)/float64(bins)
		out[b] = filled(b, count[b], hits[b], sum[b])
		out[b].Lo, out[b].Hi = &lo, &hi
	}
	return out
}

func filled(bin, count, hits int, sum float64) Bin {
	b := Bin{Bin: bin, N: count}
	if count > 0 {
		acc, conf := float64(hits)/float64(count), sum/float64(count)
		b.Acc, b.Conf = &acc, &conf
	}
	return b
}

// equalMass puts the sample of rank r of n into bin ⌊r·B/n⌋, B = min(bins, n); equal confidences
// go with the first of their group, and bins left empty are dropped.
func equalMass(conf []float64, correct []bool, bins int) []Bin {
	n := len(conf)
	bins = min(bins, n)
	order := make([]int, n)
	for i := range order {
		order[i] = i
	}
	sort.SliceStable(order, func(a, b int) bool { return conf[order[a]] < conf[order[b]] })
	count, hits, sum := make([]int, bins), make([]int, bins), make([]float64, bins)
	group, groupBin := math.Inf(-1), 0
	for r, i := range order {
		if conf[i] >= group+edgeTolerance {
			group, groupBin = conf[i], r*bins/n
		}
		count[groupBin]++
		sum[groupBin] += conf[i]
		if correct[i] {
			hits[groupBin]++
		}
	}
	out := []Bin{}
	for b := range bins {
		if count[b] > 0 {
			out = append(out, filled(len(out), count[b], hits[b], sum[b]))
		}
	}
	return out
}

// gaps returns Σ n_b/n·|acc_b − conf_b| and the largest gap, over bins that hold samples.
func gaps(bins []Bin, n int) (mean, largest float64) {
	for _, b := range bins {
		if b.N == 0 {
			continue
		}
		gap := math.Abs(*b.Acc - *b.Conf)
		mean += float64(b.N) / float64(n) * gap
		largest = max(largest, gap)
	}
	return mean, largest
}

func square(v float64) float64 { return v * v }

func claim(holds bool) float64 {
	if holds {
		return 1
	}
	return 0
}
