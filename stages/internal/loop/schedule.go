package loop

import (
	"fmt"
	"math"
)

// Schedule gives the learning rate of each optimiser step.
type Schedule struct {
	Kind   string  // cosine, linear, constant or wsd, each after a linear warm-up
	Peak   float64 // reached at step Warmup
	Warmup int64   // steps; step 0 of a warm-up has rate 0
	Steps  int64   // of the whole run
	// Decay is wsd's last part (warm-up, stable, decay): the rate stays at Peak and falls
	// in a line over so many steps, to 0 after the last one.
	Decay int64 `json:",omitempty"`
}

// Rate is the learning rate used in step, counted from 0: the formulas of transformers'
// get_{cosine,linear,constant,wsd}_schedule_with_warmup (wsd with a linear decay to 0).
func (s Schedule) Rate(step int64) float64 {
	if step < s.Warmup {
		return s.Peak * float64(step) / float64(s.Warmup)
	}
	left := float64(max(1, s.Steps-s.Warmup))
	progress := min(1, float64(step-s.Warmup)/left)
	switch s.Kind {
	case "constant":
		return s.Peak
	case "linear":
		return s.Peak * (1 - progress)
	case "wsd":
		return s.Peak * min(1, float64(max(0, s.Steps-step))/float64(max(1, s.Decay)))
	}
	return s.Peak * 0.5 * (1 + math.Cos(math.Pi*progress))
}

func (s Schedule) check() error {
	switch s.Kind {
	case "cosine", "linear", "constant", "wsd":
	default:
		return fmt.Errorf("schedule %q: want cosine, linear, constant or wsd", s.Kind)
	}
	if s.Peak < 0 || math.IsNaN(s.Peak) || math.IsInf(s.Peak, 0) {
		return fmt.Errorf("schedule: learning rate %v is no rate", s.Peak)
	}
	if s.Decay < 0 || s.Warmup+s.Decay > s.Steps {
		return fmt.Errorf("schedule: warm-up of %d and decay of %d steps in a run of %d", s.Warmup, s.Decay, s.Steps)
	}
	if s.Warmup < 0 || s.Warmup > s.Steps {
		return fmt.Errorf("schedule: warm-up of %d steps in a run of %d", s.Warmup, s.Steps)
	}
	return nil
}
