package phi3

import (
	"context"
	"fmt"
	"math"
	"math/rand/v2"
	"slices"

	"github.com/so8t/so8t/stages/internal/backend"
)

// Session is one sequence being decoded, with its keys and values cached.
type Session struct {
	r            *Runner
	tokens       []int32
	keys, values []backend.Buffer // per layer [capacity, K·D]
	capacity     int
	long         bool // which rotary factors the cache was made with
	filled       int  // rows of the cache that are valid
}

// NewSession makes room for a sequence of up to capacity tokens.
func (r *Runner) NewSession(capacity int) (*Session, error) {
	if capacity < 1 || capacity > r.base.rope.maxLen {
		return nil, fmt.Errorf("starting a session: %d tokens, at most %d were planned for", capacity, r.base.rope.maxLen)
	}
	s := &Session{r: r, capacity: capacity}
	n := capacity * r.Config.KVHeads * r.Config.HeadDim
	for range r.Config.Layers {
		s.keys = append(s.keys, r.be.NewBuffer(n))
		s.values = append(s.values, r.be.NewBuffer(n))
	}
	return s, r.be.Err()
}

// Release gives the cache back.
func (s *Session) Release() {
	for i := range s.keys {
		s.r.be.Release(s.keys[i])
		s.r.be.Release(s.values[i])
	}
}

// Reset forgets the sequence and keeps the room.
func (s *Session) Reset() { s.tokens, s.filled, s.long = s.tokens[:0], 0, false }

// Len is the number of tokens so far.
func (s *Session) Len() int { return len(s.tokens) }

// Feed appends tokens, a whole prompt or one, and returns the logits after the last. [V]
// When the sequence outgrows the short rotary factors, what is cached is wrong for the
// long ones: all of it runs again.
func (s *Session) Feed(tokens ...int32) ([]float32, error) {
	r := s.r
	if len(tokens) == 0 || len(s.tokens)+len(tokens) > s.capacity {
		return nil, fmt.Errorf("feeding %d tokens to a session: it has %d of %d", len(tokens), len(s.tokens), s.capacity)
	}
	if err := r.checkTokens(tokens); err != nil {
		return nil, err
	}
	s.tokens = append(s.tokens, tokens...)
	if long := r.Config.UsesLong(len(s.tokens)); long != s.long {
		s.long, s.filled = long, 0
	}
	defer r.scope.End()
	fresh := s.tokens[s.filled:]
	past := s.filled
	positions := make([]int32, len(fresh))
	for i := range positions {
		positions[i] = r.base.rope.row(past+i, s.long)
	}
	rows := backend.Segment{Len: len(fresh)}
	pk := r.be.Pack(backend.PackingData{Rows: len(fresh), Segments: []backend.Segment{rows}, Positions: positions})
	var lse backend.Buffer
	if past == 0 {
		lse = r.scope.Alloc(len(fresh) * r.Config.Heads)
	}
	h := r.forward(fresh, func(layer int, out, qkv backend.Buffer) {
		r.be.Rope(qkv, qkv, r.shape, r.base.rope.table, pk, false)
		r.copyKV(s.keys[layer], s.values[layer], past, qkv, rows)
		if past == 0 {
			r.be.Attention(out, lse, qkv, r.shape, pk)
		} else {
			r.cached(out, qkv, rows, s.keys[layer], s.values[layer], past)
		}
	})
	s.filled = len(s.tokens)
	last := r.be.View(h, (len(fresh)-1)*r.Config.Hidden, r.Config.Hidden)
	return r.logits(last, 1), r.be.Err()
}

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
