package cuda

import (
	driver "github.com/so8t/so8t/cuda"
	"github.com/so8t/so8t/stages/internal/backend"
)

// chunkRows is how many rows of logits exist at one time: enough for a product, and 100 MB with 200,000 words.
const chunkRows = 128

func (c *card) CrossEntropy(a backend.CrossEntropyArgs) {
	c.run("cross-entropy", func() {
		w, all := asWeight(a.W), a.Targets.(*ints).host
		index, targets := counted(all, w.rows)
		rows, cols := len(all), w.cols
		gh, gw := optional(a.GH, rows*cols), optional(a.GW, w.rows*cols)
		nll, done := c.scratch(4 * max(1, rows))
		defer done()
		if a.NLL != nil {
			nll = at(a.NLL, rows)
		}
		c.zero(nll, rows)
		if gh != 0 {
			c.zero(gh, rows*cols)
		}
		if len(index) == 0 && gw != 0 && a.GWBeta == 0 {
			c.zero(gw, w.rows*cols)
		}
		e := &crossEntropy{c: c, w: w, h: at(a.H, rows*cols), nll: nll, gh: gh, gw: gw, gwBeta: float32(a.GWBeta), scale: float32(a.Scale)}
		e.compute(index, targets)
		c.launch("sum", blocks(1), at(a.Loss, 1), nll, rows, a.Scale)
	})
}

// counted is the rows that have a target, and their targets.
func counted(all []int32, vocab int) (index, targets []int32) {
	for i, t := range all {
		if int(t) >= vocab {
			panic("target outside the vocabulary")
		}
		if t >= 0 {
			index, targets = append(index, int32(i)), append(targets, t)
		}
	}
	return index, targets
}

// crossEntropy works on a chunk of rows at a time: gathered hidden states, their logits, and in place the gradients of those.
type crossEntropy struct {
	c              *card
	w              *weight
	h, nll, gh, gw driver.Pointer
	gwBeta, scale  float32
}

func (e *crossEntropy) compute(index, targets []int32) {
	n := len(index)
	if n == 0 {
		return
	}
	c, chunk := e.c, min(n, chunkRows)
	lists, done := c.scratch(8 * n)
	defer done()
	upload(c, lists, index)
	upload(c, lists+driver.Pointer(4*n), targets)
	c.transfers.up(8 * n)
	hidden, done := c.scratch(4 * chunk * e.w.cols)
	defer done()
	logits, done := c.scratch(4 * chunk * e.w.rows)
	defer done()
	for from := 0; from < n; from += chunk {
		at := lists + driver.Pointer(4*from)
		e.part(min(chunk, n-from), at, at+driver.Pointer(4*n), hidden, logits)
	}
}

func (e *crossEntropy) part(n int, index, targets, hidden, logits driver.Pointer) {
	c, cols, vocab := e.c, e.w.cols, e.w.rows
	nll, done := c.scratch(4 * n)
	defer done()
	c.launch("gather_rows", each(n*cols), hidden, e.h, index, n, cols)
	c.linear(logits, hidden, e.w, n, 0)
	grad := 0
	if e.gh != 0 || e.gw != 0 {
		grad = 1
	}
	c.launch("softmax_nll", blocks(n), logits, nll, targets, vocab, e.scale, grad)
	c.launch("scatter_rows", each(n), e.nll, nll, index, n, 1)
	if e.gw != 0 {
		c.product(driver.Product{
			M: vocab, N: cols, K: n, Alpha: 1, Beta: e.gwBeta, TF32: c.mixed,
			A: driver.Matrix{At: logits, LD: vocab, Trans: true}, B: driver.Matrix{At: hidden, LD: cols}, C: e.gw, LDC: cols,
		})
		e.gwBeta = 1
	}
	if e.gh != 0 {
		c.linearBack(hidden, logits, e.w, n, 0)
		c.launch("scatter_rows", each(n*cols), e.gh, hidden, index, n, cols)
	}
}

func (c *card) PET(value, gh, h backend.Buffer, cols int, pk backend.Packing, scale float64) {
	c.run("PET", func() {
		l := layout(pk)
		n, segments := l.rows, len(l.segments)
		sums, done := c.scratch(16*n + 8*segments)
		defer done()
		differences := sums + driver.Pointer(8*n)
		weights := differences + driver.Pointer(8*n)
		values := weights + driver.Pointer(4*segments)
		hp := at(h, n*cols)
		c.launch("pet_rows", blocks(n), sums, differences, hp, cols, l.segmentOf, l.starts, l.lengths)
		c.launch("pet_segments", blocks(segments), weights, values, sums, differences, l.starts, l.lengths, cols, scale)
		c.launch("sum", blocks(1), at(value, 1), values, segments, 1.0)
		if gh != nil {
			c.launch("pet_back", blocks(n), at(gh, n*cols), hp, cols, l.segmentOf, l.starts, l.lengths, weights)
		}
	})
}
