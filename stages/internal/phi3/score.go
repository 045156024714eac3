package phi3

import (
	"fmt"

	"github.com/so8t/so8t/stages/internal/backend"
)

// scoreTokens is about how many tokens run in one forward pass: enough to keep the
// matrix kernels busy, small enough for caches and memory.
const scoreTokens = 2048

// Question is a prompt with several possible continuations.
type Question struct {
	Prompt        []int32
	Continuations [][]int32
}

// Score returns, for every question and continuation, Σ log p of the continuation's tokens
// from the first one in which the question's continuations differ, in nats, never
// length-normalised. The prompt and the common beginning are computed once per question.
// progress, when not nil, is told how many questions are done.
func (r *Runner) Score(questions []Question, progress func(done int)) ([][]float64, error) {
	out := make([][]float64, 0, len(questions))
	for from := 0; from < len(questions); {
		batch := &scoreBatch{r: r}
		to := from
		for to < len(questions) && (to == from || len(batch.tokens) < scoreTokens) {
			if err := batch.add(questions[to]); err != nil {
				return nil, fmt.Errorf("scoring question %d: %w", to, err)
			}
			to++
		}
		scores, err := batch.run()
		if err != nil {
			return nil, fmt.Errorf("scoring questions %d to %d: %w", from, to-1, err)
		}
		out = append(out, scores...)
		from = to
		if progress != nil {
			progress(to)
		}
	}
	return out, nil
}

// scoreBatch packs questions: for each the prompt, then what has to be fed of every
// continuation. Prompts attend to themselves; a continuation attends to its prompt and
// itself, through a copy of the prompt's keys and values.
type scoreBatch struct {
	r         *Runner
	tokens    []int32
	positions []int32 // rotary table row of each token
	prompts   []backend.Segment
	questions []scoreQuestion
	// what is asked of the states: token targets[i] at row rows[i]
	rows, targets []int32
}

type scoreQuestion struct {
	prompt   backend.Segment
	branches []backend.Segment
	asked    []int // how many targets each continuation has, in order
}

func (b *scoreBatch) add(q Question) error {
	if len(q.Continuations) == 0 {
		return fmt.Errorf("it has no continuation")
	}
	common := commonPrefix(q.Continuations)
	prompt := append(append([]int32{}, q.Prompt...), q.Continuations[0][:common]...)
	if len(prompt) == 0 {
		return fmt.Errorf("the prompt is empty")
	}
	longest := 0
	for _, c := range q.Continuations {
		longest = max(longest, len(prompt)+len(c)-common)
	}
	if longest > b.r.base.rope.maxLen {
		return fmt.Errorf("it is %d tokens long, at most %d were planned for", longest, b.r.base.rope.maxLen)
	}
	if err := b.r.checkTokens(prompt); err != nil {
		return err
	}
	long := b.r.Config.UsesLong(longest)
	sq := scoreQuestion{prompt: b.append(prompt, 0, long)}
	last := int32(len(b.tokens) - 1)
	for _, c := range q.Continuations {
		rest := c[common:]
		if err := b.r.checkTokens(rest); err != nil {
			return err
		}
		sq.asked = append(sq.asked, len(rest))
		at := last
		if len(rest) > 1 {
			s := b.append(rest[:len(rest)-1], len(prompt), long)
			sq.branches = append(sq.branches, s)
			for i, target := range rest {
				b.rows, b.targets = append(b.rows, at), append(b.targets, target)
				at = int32(s.Start + i)
			}
		} else if len(rest) == 1 {
			b.rows, b.targets = append(b.rows, at), append(b.targets, rest[0])
		}
	}
	b.prompts = append(b.prompts, sq.prompt)
	b.questions = append(b.questions, sq)
	return nil
}

func (b *scoreBatch) append(tokens []int32, position int, long bool) backend.Segment {
	s := backend.Segment{Start: len(b.tokens), Len: len(tokens), ID: uint64(len(b.questions))}
	for i := range tokens {
		b.positions = append(b.positions, b.r.base.rope.row(position+i, long))
	}
	b.tokens = append(b.tokens, tokens...)
	return s
}

func commonPrefix(list [][]int32) int {
	n := len(list[0])
	for _, c := range list[1:] {
		n = min(n, len(c))
		for i := range n {
			if c[i] != list[0][i] {
				n = i
				break
			}
		}
	}
	if len(list) == 1 {
		return 0 // nothing to differ from: all of it counts
	}
	return n
}

func (b *scoreBatch) run() ([][]float64, error) {
	r := b.r
	defer r.scope.End()
	pk := r.be.Pack(backend.PackingData{Rows: len(b.tokens), Segments: b.prompts, Positions: b.positions})
	lse := r.scope.Alloc(len(b.tokens) * r.Config.Heads)
	kv := b.newBranchCache()
	h := r.forward(b.tokens, func(_ int, out, qkv backend.Buffer) {
		r.be.Rope(qkv, qkv, r.shape, r.base.rope.table, pk, false)
		r.be.Attention(out, lse, qkv, r.shape, pk)
		kv.attend(out, qkv)
	})
	if len(b.rows) == 0 {
		return b.sum(nil), r.be.Err()
	}
	return b.sum(r.nll(r.gather(h, b.rows), b.targets)), r.be.Err()
}

// sum adds up the log-probabilities of each continuation.
func (b *scoreBatch) sum(nll []float64) [][]float64 {
	out := make([][]float64, len(b.questions))
	at := 0
	for i, q := range b.questions {
		for _, n := range q.asked {
			s := 0.0
			for _, v := range nll[at : at+n] {
				s -= v
			}
			out[i] = append(out[i], s)
			at += n
		}
	}
	return out
}

// branchCache runs the attention of continuations, one after the other, over a scratch
// copy of their prompt's keys and values.
type branchCache struct {
	b            *scoreBatch
	keys, values backend.Buffer // [longest prompt + branch, K·D]
}

func (b *scoreBatch) newBranchCache() *branchCache {
	longest := 0
	for _, q := range b.questions {
		for _, s := range q.branches {
			longest = max(longest, q.prompt.Len+s.Len)
		}
	}
	width := b.r.Config.KVHeads * b.r.Config.HeadDim
	c := &branchCache{b: b}
	if longest > 0 {
		c.keys, c.values = b.r.scope.Alloc(longest*width), b.r.scope.Alloc(longest*width)
	}
	return c
}

func (c *branchCache) attend(out, qkv backend.Buffer) {
	r := c.b.r
	for _, q := range c.b.questions {
		if len(q.branches) == 0 {
			continue
		}
		r.copyKV(c.keys, c.values, 0, qkv, q.prompt)
		for _, s := range q.branches {
			r.copyKV(c.keys, c.values, q.prompt.Len, qkv, s)
			r.cached(out, qkv, s, c.keys, c.values, q.prompt.Len)
		}
	}
}

// copyKV copies the keys and values of rotated qkv rows into rows at, at+1, … of a cache.
func (r *Runner) copyKV(keys, values backend.Buffer, at int, qkv backend.Buffer, s backend.Segment) {
	width, ld := r.Config.KVHeads*r.Config.HeadDim, r.Config.QKVOut()
	src := backend.Mat{Buf: qkv, Off: s.Start*ld + r.Config.AttnOut(), LD: ld}
	r.be.Copy2D(backend.Mat{Buf: keys, Off: at * width, LD: width}, src, s.Len, width)
	src.Off += width
	r.be.Copy2D(backend.Mat{Buf: values, Off: at * width, LD: width}, src, s.Len, width)
}

// cached attends rows s of qkv to past rows of a cache and to themselves.
func (r *Runner) cached(out, qkv backend.Buffer, s backend.Segment, keys, values backend.Buffer, past int) {
	q := backend.Mat{Buf: qkv, Off: s.Start * r.Config.QKVOut(), LD: r.Config.QKVOut()}
	dst := r.be.View(out, s.Start*r.Config.AttnOut(), s.Len*r.Config.AttnOut())
	r.be.CachedAttention(dst, q, keys, values, r.shape, s.Len, past)
}
