package so8t

import "fmt"

// PETEps keeps the normalisation finite for a segment whose states are all zero.
const PETEps = 1e-8

// PET is the second-difference regulariser of hidden states along the sequence,
// without scale: 0 for states linear in time, 1 on average for white noise.
//
//	PET = 1/(N·d) Σ over valid triples |h[t+2] - 2h[t+1] + h[t]|² / (6·v + eps)
//
// A triple is valid when its three tokens belong to the same segment (≥ 0; -1 is
// padding); v is the mean square of that segment's own states and is constant for
// the gradient, so that a packed row equals separate ones; N is the number of
// triples of the whole accumulation window, passed in.
//
// h: [T, d]. Returns the sum over this row divided by N·d, and, when grad is not
// nil, adds its gradient to grad [T, d].
func PET(h []float64, d int, segments []int32, triples int, grad []float64) float64 {
	if triples == 0 {
		return 0
	}
	norm := 1 / (float64(triples) * float64(d))
	squares, tokens := meanSquares(h, d, segments)
	total := 0.0
	for t := range len(segments) {
		if !validTriple(segments, t) {
			continue
		}
		id := segments[t]
		w := norm / (6*squares[id]/float64(tokens[id]*d) + PETEps)
		for c := range d {
			i := t*d + c
			d2 := h[i+2*d] - 2*h[i+d] + h[i]
			total += w * d2 * d2
			if grad != nil {
				g := 2 * w * d2
				grad[i] += g
				grad[i+d] -= 2 * g
				grad[i+2*d] += g
			}
		}
	}
	return total
}

// meanSquares returns Σ h² and the number of tokens of every segment.
func meanSquares(h []float64, d int, segments []int32) (squares map[int32]float64, tokens map[int32]int) {
	squares, tokens = map[int32]float64{}, map[int32]int{}
	for t, id := range segments {
		sum := 0.0
		for _, v := range h[t*d : (t+1)*d] {
			sum += v * v
		}
		squares[id] += sum
		tokens[id]++
	}
	return squares, tokens
}

func validTriple(segments []int32, t int) bool {
	return t+2 < len(segments) && segments[t] >= 0 && segments[t+1] == segments[t] && segments[t+2] == segments[t]
}

// Triples counts the valid triples of one row: what the callers add up over the
// accumulation window to get PET's N.
func Triples(segments []int32) int {
	n := 0
	for t := range segments {
		if validTriple(segments, t) {
			n++
		}
	}
	return n
}

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
