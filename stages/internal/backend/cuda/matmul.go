package cuda

import (
	driver "github.com/so8t/so8t/cuda"
	"github.com/so8t/so8t/stages/internal/backend"
)

// tileNumbers bounds how much of a stored weight is widened at a time: 16 MiB of bfloat16, which a large card's cache holds.
const tileNumbers = 8 << 20

func (c *card) Gemm(ta, tb bool, m, n, k int, alpha float64, a, b backend.Mat, beta float64, out backend.Mat) {
	c.run("a matrix product", func() {
		am, an, bm, bn := m, k, k, n
		if ta {
			am, an = an, am
		}
		if tb {
			bm, bn = bn, bm
		}
		c.product(driver.Product{
			M: m, N: n, K: k, Alpha: float32(alpha), Beta: float32(beta), TF32: c.mixed,
			A: operand(matrix(a, am, an), a.LD, am, an, ta), B: operand(matrix(b, bm, bn), b.LD, bm, bn, tb),
			C: matrix(out, m, n), LDC: max(out.LD, n),
		})
	})
}

// operand of rows x cols as stored. A single row may come with any distance to the next; cuBLAS insists on one that fits.
func operand(p driver.Pointer, ld, rows, cols int, trans bool) driver.Matrix {
	if rows <= 1 {
		ld = max(ld, cols)
	}
	return driver.Matrix{At: p, LD: max(1, ld), Trans: trans}
}

// product leaves out what cuBLAS does not define: nothing to write, and a sum over nothing.
func (c *card) product(p driver.Product) {
	switch {
	case p.M == 0 || p.N == 0:
	case p.K == 0:
		c.launch("scale_2d", each(p.M*p.N), p.C, p.LDC, p.M, p.N, p.Beta)
	case c.dev != nil:
		c.dev.Gemm(p)
	}
}

func (c *card) Linear(y, x backend.Buffer, v backend.Weight, rows int, beta float64) {
	c.run("a linear layer", func() {
		w := asWeight(v)
		c.linear(at(y, rows*w.rows), at(x, rows*w.cols), w, rows, float32(beta))
	})
}

func (c *card) linear(y, x driver.Pointer, w *weight, rows int, beta float32) {
	c.eachTile(w, x, rows*w.cols, func(in driver.Pointer, t tile) {
		c.product(driver.Product{
			M: rows, N: t.to - t.from, K: w.cols, Alpha: 1, Beta: beta, Type: t.kind, TF32: c.mixed,
			A: driver.Matrix{At: in, LD: w.cols}, B: driver.Matrix{At: t.at, LD: w.cols, Trans: true},
			C: y + driver.Pointer(4*t.from), LDC: w.rows,
		})
	})
}

func (c *card) LinearBack(gx, gy backend.Buffer, v backend.Weight, rows int, beta float64) {
	c.run("a linear layer's input gradient", func() {
		w := asWeight(v)
		c.linearBack(at(gx, rows*w.cols), at(gy, rows*w.rows), w, rows, float32(beta))
	})
}

func (c *card) linearBack(gx, gy driver.Pointer, w *weight, rows int, beta float32) {
	c.eachTile(w, gy, rows*w.rows, func(in driver.Pointer, t tile) {
		c.product(driver.Product{
			M: rows, N: w.cols, K: t.to - t.from, Alpha: 1, Beta: beta, Type: t.kind, TF32: c.mixed,
			A: driver.Matrix{At: in + driver.Pointer(t.bytes()*t.from), LD: w.rows}, B: driver.Matrix{At: t.at, LD: w.cols},
			C: gx, LDC: w.cols,
		})
		beta = 1
	})
}

// tile is rows [from, to) of a weight as numbers of kind.
type tile struct {
	at       driver.Pointer
	kind     driver.Type
	from, to int
}

// bytes of a number.
func (t tile) bytes() int {
	if t.kind == driver.BFloat16 {
		return 2
	}
	return 4
}

// eachTile hands out a weight as numbers that cuBLAS takes, and the other operand, n float32 numbers at x, as numbers of the same type. A
// weight that is stored so is one tile. The products over several tiles write, or add up, in a fixed order.
func (c *card) eachTile(w *weight, x driver.Pointer, n int, f func(x driver.Pointer, t tile)) {
	if w.kind == backend.Float32 {
		f(x, tile{w.place() + driver.Pointer(4*w.first*w.cols), driver.Float32, 0, w.rows})
		return
	}
	kind, widen := driver.Float32, "widen_f32"
	if c.mixed {
		kind, widen = driver.BFloat16, "widen_bf16"
		narrowed, done := c.scratch(2 * n)
		defer done()
		c.launch("to_bf16", each(n), narrowed, x, n)
		x = narrowed
		if w.kind == backend.BFloat16 {
			f(x, tile{w.place() + driver.Pointer(2*w.first*w.cols), kind, 0, w.rows})
			return
		}
	}
	step := min(w.rows, max(1, tileNumbers/w.cols))
	t := tile{kind: kind}
	scratch, done := c.scratch(step * w.cols * t.bytes())
	defer done()
	t.at = scratch
	for t.from = 0; t.from < w.rows; t.from = t.to {
		t.to = min(w.rows, t.from+step)
		numbers := (t.to - t.from) * w.cols
		c.launch(widen, each(numbers), t.at, int(w.kind), w.place(), w.scales, (w.first+t.from)*w.cols, numbers, w.cols)
		f(x, t)
	}
}
