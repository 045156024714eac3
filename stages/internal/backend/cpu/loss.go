package cpu

import (
	"github.com/so8t/so8t/stages/internal/backend"
)

// The logits that exist at one time: as many rows as stay in the cache beside the products that use them, but enough that packing the head
// for each chunk does not matter.
const (
	chunkNumbers = 1 << 18
	chunkRows    = 128
)

func (m *machine[T]) CrossEntropy(a backend.CrossEntropyArgs) {
	m.dryCrossEntropy(a)
	m.run("cross-entropy", func() {
		w := asWeight[T](a.W)
		c := &crossEntropy[T]{m: m, w: w, h: data[T](a.H), gh: data[T](a.GH), gw: data[T](a.GW), gwBeta: T(a.GWBeta), scale: T(a.Scale)}
		targets := a.Targets.(*ints).data
		if nll := data[T](a.NLL); nll != nil {
			clear(nll)
		}
		if c.gh != nil {
			clear(c.gh[:len(targets)*w.cols])
		}
		var rows []int
		for i, t := range targets {
			if int(t) >= w.rows {
				panic("target outside the vocabulary")
			}
			if t >= 0 {
				rows = append(rows, i)
			}
		}
		c.allocate(len(rows))
		defer c.release()
		var sum float64
		for from := 0; from < len(rows); from += c.chunk {
			part := rows[from:min(len(rows), from+c.chunk)]
			c.run(part, targets)
			for i, r := range part {
				sum += c.nll[i]
				if a.NLL != nil {
					data[T](a.NLL)[r] = T(c.nll[i])
				}
			}
		}
		if len(rows) == 0 && c.gw != nil && c.gwBeta == 0 {
			clear(c.gw)
		}
		data[T](a.Loss)[0] = T(a.Scale * sum)
	})
}

// crossEntropy works on chunk rows at a time: gathered hidden states, their logits, and in place the gradient of those.
type crossEntropy[T real] struct {
	m             *machine[T]
	w             *weight[T]
	h, gh, gw     []T
	gwBeta, scale T
	chunk         int
	nll           []float64
	hidden        *buffer[T] // [chunk, hidden], then its gradient
	logits        *buffer[T] // [chunk, vocabulary]
}

// allocate makes room to work on rows with a target.
func (c *crossEntropy[T]) allocate(rows int) {
	c.chunk = max(1, min(rows, max(chunkRows, chunkNumbers/c.w.rows)))
	c.nll = make([]float64, c.chunk)
	c.hidden = c.m.mem.take(c.chunk * c.w.cols)
	c.logits = c.m.mem.take(c.chunk * c.w.rows)
}

func (c *crossEntropy[T]) release() { c.m.mem.give(c.hidden, c.logits) }

func (c *crossEntropy[T]) run(rows []int, targets []int32) {
	n, cols, vocab := len(rows), c.w.cols, c.w.rows
	hidden, logits := c.hidden.data[:n*cols], c.logits.data[:n*vocab]
	for i, r := range rows {
		copy(hidden[i*cols:(i+1)*cols], c.h[r*cols:(r+1)*cols])
	}
	c.m.linear(logits, hidden, c.w, n, 0)
	grad := c.gh != nil || c.gw != nil
	c.m.split(n, 1, max(1, grain/vocab), func(i, j int) {
		for r := i; r < j; r++ {
			c.nll[r] = c.m.k.softmaxNLL(logits[r*vocab:(r+1)*vocab], int(targets[rows[r]]), c.scale, grad)
		}
	})
	if c.gw != nil {
		c.m.product(vocab, cols, n, 1, operand(logits, vocab, true), operand(hidden, cols, false), c.gwBeta, c.gw, cols)
		c.gwBeta = 1
	}
	if c.gh == nil {
		return
	}
	c.m.linearBack(hidden, logits, c.w, n, 0)
	for i, r := range rows {
		copy(c.gh[r*cols:(r+1)*cols], hidden[i*cols:(i+1)*cols])
	}
}

func (m *machine[T]) PET(value, gh, h backend.Buffer, cols int, pk backend.Packing, scale float64) {
	m.run("PET", func() {
		l := layout(pk)
		hv, g := data[T](h)[:l.rows*cols], data[T](gh)
		for _, r := range l.padding {
			if g != nil {
				clear(g[r[0]*cols : r[1]*cols])
			}
		}
		sums := make([]float64, len(l.segments))
		m.pool.run(len(l.segments), func(i int) {
			s := l.segments[i]
			var part []T
			if g != nil {
				part = g[s.Start*cols : (s.Start+s.Len)*cols]
			}
			sums[i] = m.pet(part, hv[s.Start*cols:(s.Start+s.Len)*cols], s.Len, cols, scale)
		})
		var sum float64
		for _, v := range sums {
			sum += v
		}
		data[T](value)[0] = T(sum)
	})
}

// pet is one segment's share.
func (m *machine[T]) pet(g, h []T, rows, cols int, scale float64) float64 {
	clear(g)
	if rows < 3 {
		return 0
	}
	v := m.k.sumSquares(h) / float64(len(h))
	weight := scale / float64(cols) / (6*v + 1e-8)
	return weight * m.k.secondDifference(g, h, rows, cols, T(2*weight))
}
