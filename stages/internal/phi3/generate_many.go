package phi3

import (
	"context"
	"fmt"
	"slices"
)

const (
	// manySlots is how many sequences are decoded side by side: the matrix kernels then
	// work on that many rows instead of one.
	manySlots = 32
	// manyCacheBytes bounds their caches together.
	manyCacheBytes = 1 << 30
)

// GenerateMany continues many prompts, greedily, and returns what came of each. done, when
// not nil, is told how many are finished. Generation.Choose and Token are not used.
func (r *Runner) GenerateMany(ctx context.Context, prompts [][]int32, g Generation, done func(finished int)) ([][]int32, []Reason, error) {
	longest := 0
	for i, p := range prompts {
		if len(p) == 0 || len(p) > r.base.rope.maxLen {
			return nil, nil, fmt.Errorf("continuing prompt %d: it has %d tokens; 1 to %d were planned for", i, len(p), r.base.rope.maxLen)
		}
		longest = max(longest, len(p))
	}
	m := &many{r: r, g: g, prompts: prompts, out: make([][]int32, len(prompts)), why: make([]Reason, len(prompts))}
	defer m.release()
	capacity := min(longest+g.MaxNew, r.base.rope.maxLen)
	slots := min(manySlots, len(prompts), int(max(1, manyCacheBytes/r.Config.KVCacheBytes(max(1, capacity)))))
	for range slots {
		s, err := r.NewSession(capacity)
		if err != nil {
			return nil, nil, err
		}
		m.idle = append(m.idle, s)
	}
	for {
		if err := ctx.Err(); err != nil {
			return nil, nil, err
		}
		if err := m.refill(); err != nil {
			return nil, nil, err
		}
		if len(m.live) == 0 {
			return m.out, m.why, nil
		}
		if err := m.step(); err != nil {
			return nil, nil, err
		}
		if done != nil {
			done(m.finished)
		}
	}
}

// many is a GenerateMany under way. A sequence that ends makes room for the next prompt,
// which then runs beside the others' next tokens.
type many struct {
	r        *Runner
	g        Generation
	prompts  [][]int32
	out      [][]int32
	why      []Reason
	next     int // first prompt that has not begun
	finished int
	idle     []*Session
	live     []slot
}

type slot struct {
	*Session
	prompt int
}

// refill gives idle sessions prompts.
func (m *many) refill() error {
	for m.next < len(m.prompts) && (len(m.idle) > 0 || m.g.MaxNew < 1) {
		i := m.next
		m.next++
		if m.g.MaxNew < 1 {
			m.end(i, OutOfRoom)
			continue
		}
		s := m.idle[len(m.idle)-1]
		m.idle = m.idle[:len(m.idle)-1]
		s.Reset()
		if err := s.push(m.prompts[i]); err != nil {
			return fmt.Errorf("continuing prompt %d: %w", i, err)
		}
		m.live = append(m.live, slot{s, i})
	}
	return nil
}

// step decodes one token of every live sequence.
func (m *many) step() error {
	sessions := make([]*Session, len(m.live))
	for i, s := range m.live {
		sessions[i] = s.Session
	}
	logits, err := m.r.advance(sessions)
	if err != nil {
		return err
	}
	V := m.r.Config.Vocab
	var still []slot
	for i, s := range m.live {
		id := Greedy(logits[i*V:][:V])
		if slices.Contains(m.g.Stop, id) {
			m.retire(s, Stopped)
			continue
		}
		m.out[s.prompt] = append(m.out[s.prompt], id)
		if len(m.out[s.prompt]) >= m.g.MaxNew || s.Len() >= s.capacity {
			m.retire(s, OutOfRoom)
			continue
		}
		if err := s.push([]int32{id}); err != nil {
			return err
		}
		still = append(still, s)
	}
	m.live = still
	return nil
}

func (m *many) retire(s slot, why Reason) {
	m.idle = append(m.idle, s.Session)
	m.end(s.prompt, why)
}

func (m *many) end(prompt int, why Reason) {
	m.why[prompt] = why
	m.finished++
}

func (m *many) release() {
	for _, s := range m.live {
		m.idle = append(m.idle, s.Session)
	}
	for _, s := range m.idle {
		s.Release()
	}
}
