package metrics

import (
	"math"
	"sort"
)

// Bounds of a temperature.
const (
	TemperatureMin = 0.05
	TemperatureMax = 20.0
)

// Temperature is the result of fitting one number T so that softmax(z/T) has the least NLL.
type Temperature struct {
	T        float64     `json:"T"`
	Bounds   [2]float64  `json:"bounds"`
	AtBound  *string     `json:"at_bound"` // lower, upper or null
	Warnings []string    `json:"warnings"`
	Before   Calibration `json:"before"`
	After    Calibration `json:"after"`
	// BinsAfter is the reliability table at T.
	BinsAfter []Bin `json:"bins_after"`
}

// FitTemperature minimises nll(z/T) on [TemperatureMin, TemperatureMax]. In β = 1/T the NLL is
// convex, so the sign of its slope decides: it is bisected, then polished by Newton steps.
// The arg max, and so the accuracy, does not change. For sets of logits.
func (s *Set) FitTemperature(bins int) Temperature {
	t := Temperature{T: 1, Bounds: [2]float64{TemperatureMin, TemperatureMax}, Warnings: []string{}}
	low, high := 1/TemperatureMax, 1/TemperatureMin
	slopeLow, _ := s.slope(low)
	slopeHigh, _ := s.slope(high)
	switch {
	case s.flat():
		t.Warnings = append(t.Warnings, "flat")
	case slopeHigh <= 0: // the NLL still falls at the largest β
		t.bound(TemperatureMin, "lower")
	case slopeLow >= 0:
		t.bound(TemperatureMax, "upper")
	default:
		t.T = 1 / s.root(low, high)
	}
	t.Warnings = append(t.Warnings, s.Warnings()...)
	sort.Strings(t.Warnings)
	t.Before, t.After = s.at(1, bins), s.at(t.T, bins)
	t.BinsAfter = t.After.Bins
	for _, c := range []*Calibration{&t.Before, &t.After} {
		c.Bins, c.BinsMass, c.ClasswiseECEByLabel = nil, nil, nil
	}
	return t
}

func (t *Temperature) bound(at float64, which string) {
	t.T, t.AtBound = at, &which
	t.Warnings = append(t.Warnings, "at-"+which+"-bound")
}

// root finds where the slope changes sign: bisection on log β, which cannot fail, then Newton.
func (s *Set) root(low, high float64) float64 {
	for range 60 {
		middle := math.Sqrt(low * high)
		if g, _ := s.slope(middle); g < 0 {
			low = middle
		} else {
			high = middle
		}
	}
	beta := math.Sqrt(low * high)
	for range 3 {
		g, h := s.slope(beta)
		if h <= 0 {
			break
		}
		if next := beta - g/h; next > 0 {
			beta = next
		}
	}
	return beta
}

// slope returns d nll/dβ and d²nll/dβ² at β = 1/T: the means of E[z] − z_y and Var[z] under
// softmax(βz).
func (s *Set) slope(beta float64) (first, second float64) {
	n := float64(len(s.x))
	for i, z := range s.x {
		p := Softmax(z, 1/beta)
		mean, meanSquare := 0.0, 0.0
		// Relative to z_y, so that large logits do not cancel.
		for k, v := range z {
			d := v - z[s.y[i]]
			mean += p[k] * d
			meanSquare += p[k] * d * d
		}
		first += mean / n
		second += (meanSquare - mean*mean) / n
	}
	return first, second
}

// flat reports whether the logits of every row are equal: then the NLL does not depend on T.
func (s *Set) flat() bool {
	for _, row := range s.x {
		for _, v := range row {
			if v != row[0] {
				return false
			}
		}
	}
	return true
}

// at computes the calibration at a temperature.
func (s *Set) at(temperature float64, bins int) Calibration {
	p, logp := s.probabilities(temperature)
	return calibrate(s.labels, p, logp, s.y, s.pred, bins)
}

// smallN is the number of rows below which figures are to be taken with care.
const smallN = 500

// Warnings names what weakens the figures: few rows, labels that do not occur.
func (s *Set) Warnings() []string {
	warnings := []string{}
	if len(s.x) < smallN {
		warnings = append(warnings, "small-n")
	}
	seen := make([]bool, len(s.labels))
	for _, y := range s.y {
		seen[y] = true
	}
	for k, label := range s.labels {
		if !seen[k] {
			warnings = append(warnings, "label-absent:"+label)
		}
	}
	return warnings
}
