package phi3

import (
	"context"
	"math"
	"math/rand/v2"
	"slices"
)

// Generation says how Generate goes on and when it ends.
type Generation struct {
	MaxNew int     // at most so many tokens
	Stop   []int32 // tokens that end the text; they are not part of it
	// Choose picks a token from logits [V]; Greedy when nil.
	Choose func(logits []float32) int32
	// Token is told of each token as it comes; may be nil.
	Token func(id int32)
}

// Reason says why a generation ended.
type Reason string

// The reasons.
const (
	Stopped   Reason = "stop"   // a stop token came
	OutOfRoom Reason = "length" // MaxNew or the session's capacity was reached
)

// Generate continues a prompt.
func (r *Runner) Generate(ctx context.Context, prompt []int32, g Generation) ([]int32, Reason, error) {
	s, err := r.NewSession(min(len(prompt)+g.MaxNew, r.base.rope.maxLen))
	if err != nil {
		return nil, "", err
	}
	defer s.Release()
	choose := g.Choose
	if choose == nil {
		choose = Greedy
	}
	logits, err := s.Feed(prompt...)
	var out []int32
	for err == nil {
		if err := ctx.Err(); err != nil {
			return out, "", err
		}
		if len(out) >= g.MaxNew {
			return out, OutOfRoom, nil
		}
		id := choose(logits)
		if slices.Contains(g.Stop, id) {
			return out, Stopped, nil
		}
		out = append(out, id)
		if g.Token != nil {
			g.Token(id)
		}
		if len(out) >= g.MaxNew || s.Len() >= s.capacity {
			return out, OutOfRoom, nil
		}
		logits, err = s.Feed(id)
	}
	return out, "", err
}

// Sampler returns a Choose that draws from softmax(logits/temperature), the same tokens
// for the same seed. Temperature 0 is Greedy.
func Sampler(temperature float64, seed uint64) func(logits []float32) int32 {
	if temperature <= 0 {
		return Greedy
	}
	rng := rand.New(rand.NewPCG(seed, 0))
	var weights []float64
	return func(logits []float32) int32 {
		top := float64(logits[Greedy(logits)])
		total := 0.0
		weights = weights[:0]
		for _, v := range logits {
			w := math.Exp((float64(v) - top) / temperature)
			weights = append(weights, w)
			total += w
		}
		at := rng.Float64() * total
		for i, w := range weights {
			if at -= w; at < 0 {
				return int32(i)
			}
		}
		return Greedy(logits) // rounding left a little at the end
	}
}

// Greedy is the most probable token, the lowest id when several are.
func Greedy(logits []float32) int32 {
	best, at := float32(math.Inf(-1)), 0
	for i, v := range logits {
		if v > best {
			best, at = v, i
		}
	}
	return int32(at)
}
