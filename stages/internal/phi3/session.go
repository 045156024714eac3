package phi3

import (
	"fmt"

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
func (s *Session) Feed(tokens ...int32) ([]float32, error) {
	if err := s.push(tokens); err != nil {
		return nil, err
	}
	return s.r.advance([]*Session{s})
}

// push appends tokens that have yet to run. When the sequence outgrows the short rotary
// factors, what is cached is wrong for the long ones: all of it will run again.
func (s *Session) push(tokens []int32) error {
	if len(tokens) == 0 || len(s.tokens)+len(tokens) > s.capacity {
		return fmt.Errorf("feeding %d tokens to a session: it has %d of %d", len(tokens), len(s.tokens), s.capacity)
	}
	if err := s.r.checkTokens(tokens); err != nil {
		return err
	}
	s.tokens = append(s.tokens, tokens...)
	if long := s.r.Config.UsesLong(len(s.tokens)); long != s.long {
		s.long, s.filled = long, 0
	}
	return nil
}

// advance runs what was pushed to sessions, all in one packed forward pass, and returns
// the logits after each one's last token. [len(sessions), V]
func (r *Runner) advance(sessions []*Session) ([]float32, error) {
	defer r.scope.End()
	var tokens, last []int32
	p := backend.PackingData{} // segments: what has no past; the rest attends through its cache
	rows := make([]backend.Segment, len(sessions))
	for i, s := range sessions {
		fresh := s.tokens[s.filled:]
		rows[i] = backend.Segment{Start: len(tokens), Len: len(fresh), ID: uint64(i)}
		for k := range fresh {
			p.Positions = append(p.Positions, r.base.rope.row(s.filled+k, s.long))
		}
		if s.filled == 0 {
			p.Segments = append(p.Segments, rows[i])
		}
		tokens = append(tokens, fresh...)
		last = append(last, int32(len(tokens)-1))
	}
	p.Rows = len(tokens)
	pk := r.be.Pack(p)
	lse := r.scope.Alloc(len(tokens) * r.Config.Heads)
	h := r.forward(tokens, func(layer int, out, qkv backend.Buffer) {
		r.be.Rope(qkv, qkv, r.shape, r.base.rope.table, pk, false)
		if len(p.Segments) > 0 {
			r.be.Attention(out, lse, qkv, r.shape, pk)
		}
		for i, s := range sessions {
			r.copyKV(s.keys[layer], s.values[layer], s.filled, qkv, rows[i])
			if s.filled > 0 {
				r.cached(out, qkv, rows[i], s.keys[layer], s.values[layer], s.filled)
			}
		}
	})
	for _, s := range sessions {
		s.filled = len(s.tokens)
	}
	return r.logits(r.gather(h, last), len(sessions)), r.be.Err()
}
