package metrics

// DefaultBins is the number of bins of a reliability table.
const DefaultBins = 15

// Report is everything that is computed of one set of rows.
type Report struct {
	N           int      `json:"n"`
	Predictions []int    `json:"predictions"`
	Warnings    []string `json:"warnings"`
	Classification
	Calibration
	// Temperature is nil for given probabilities: there is nothing to scale.
	Temperature *Temperature `json:"temperature,omitempty"`
}

// Report computes classification, calibration and, of logits, the temperature.
func (s *Set) Report(bins int) Report {
	r := Report{
		N: len(s.x), Predictions: s.pred, Warnings: s.Warnings(),
		Classification: Classify(s.labels, s.y, s.pred),
		Calibration:    s.at(1, bins),
	}
	if s.kind == Logits {
		t := s.FitTemperature(bins)
		r.Temperature = &t
	}
	return r
}

// Calibrated computes the calibration of softmax(z/T).
func (s *Set) Calibrated(temperature float64, bins int) Calibration { return s.at(temperature, bins) }
