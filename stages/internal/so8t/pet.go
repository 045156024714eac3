package so8t

import "fmt"

// Schedule is PET's weight over the run: piecewise constant in progress =
// step/steps (counted before the step). A boundary belongs to the later phase.
type Schedule struct {
	Boundaries [2]float64
	Weights    [3]float64
}

// DefaultSchedule is that of the original training script.
var DefaultSchedule = Schedule{Boundaries: [2]float64{0.3, 0.7}, Weights: [3]float64{0.01, 0.05, 0.1}}

// At returns the weight at a progress in [0,1].
func (s Schedule) At(progress float64) float64 {
	switch {
	case progress < s.Boundaries[0]:
		return s.Weights[0]
	case progress < s.Boundaries[1]:
		return s.Weights[1]
	}
	return s.Weights[2]
}

// Check refuses boundaries out of order or outside [0,1] and negative weights.
func (s Schedule) Check() error {
	if b := s.Boundaries; b[0] < 0 || b[1] < b[0] || b[1] > 1 {
		return fmt.Errorf("PET schedule: boundaries %v must rise within 0 and 1", b)
	}
	for _, w := range s.Weights {
		if !(w >= 0) {
			return fmt.Errorf("PET schedule: weight %v is negative or not a number", w)
		}
	}
	return nil
}
