package cuda

import (
	"math"

	"github.com/so8t/so8t/stages/internal/backend"
)

func (c *card) Fill(dst backend.Buffer, v float64) {
	c.run("a fill", func() { c.launch("fill", each(dst.Len()), at(dst, dst.Len()), float32(v), dst.Len()) })
}

func (c *card) Axpby(dst backend.Buffer, alpha float64, x backend.Buffer, beta float64, y backend.Buffer) {
	c.run("a sum", func() {
		n := dst.Len()
		if x.Len() != n || y != nil && y.Len() != n {
			panic("sum of different lengths")
		}
		c.launch("axpby", each(n), at(dst, n), float32(alpha), at(x, n), float32(beta), optional(y, n), n)
	})
}

func (c *card) ScaleBy(dst, x, s backend.Buffer, beta float64) {
	c.run("a scaling", func() {
		n := dst.Len()
		c.launch("scale_by", each(n), at(dst, n), at(x, n), at(s, 1), float32(beta), n)
	})
}

func (c *card) Copy2D(dst, src backend.Mat, rows, cols int) {
	c.run("a copy", func() {
		c.launch("copy_2d", each(rows*cols), matrix(dst, rows, cols), dst.LD, matrix(src, rows, cols), src.LD, rows, cols)
	})
}

func (c *card) Dropout(dst, x backend.Buffer, cols int, pk backend.Packing, key uint64, p, beta float64) {
	c.run("dropout", func() {
		l := layout(pk)
		if dst.Len() != l.rows*cols || x.Len() != dst.Len() {
			panic("rows do not fit the packing")
		}
		c.launch("dropout", blocks(l.rows), at(dst, dst.Len()), at(x, x.Len()), cols, l.segmentOf, l.starts, l.ids, key,
			backend.DropoutThreshold(p), float32(1/(1-p)), float32(beta))
	})
}

func (c *card) RMSNorm(y, inv, x, gain backend.Buffer, rows, cols int, eps float64) {
	c.run("RMSNorm", func() {
		n := rows * cols
		c.launch("rms_norm", blocks(rows), at(y, n), at(inv, rows), at(x, n), at(gain, cols), cols, float32(eps))
	})
}

func (c *card) RMSNormBack(gx, ggain, gy, x, gain, inv backend.Buffer, rows, cols int, beta, gbeta float64) {
	c.run("RMSNorm's gradient", func() {
		n := rows * cols
		if ggain != nil { // before gx, which may be gy's memory
			c.launch("rms_norm_gain_back", blocks((cols+31)/32), at(ggain, cols), at(gy, n), at(x, n), at(inv, rows), rows, cols, float32(gbeta))
		}
		c.launch("rms_norm_back", blocks(rows), at(gx, n), at(gy, n), at(x, n), at(gain, cols), at(inv, rows), cols, float32(beta))
	})
}

func (c *card) SwiGLU(y, gu backend.Buffer, rows, width int) {
	c.run("SwiGLU", func() { c.launch("swiglu", each(rows*width), at(y, rows*width), at(gu, 2*rows*width), rows, width) })
}

func (c *card) SwiGLUBack(ggu, gy, gu backend.Buffer, rows, width int) {
	c.run("SwiGLU's gradient", func() {
		n := rows * width
		c.launch("swiglu_back", each(n), at(ggu, 2*n), at(gy, n), at(gu, 2*n), rows, width)
	})
}

func (c *card) Cayley(r, theta backend.Buffer, n int) {
	c.run("the gate's rotation", func() { c.launch("cayley", each(n), at(r, 64*n), at(theta, 28*n), n) })
}

func (c *card) CayleyBack(gtheta, gr, theta, _ backend.Buffer, n int, beta float64) {
	c.run("the gate's gradient", func() {
		c.launch("cayley_back", each(n), at(gtheta, 28*n), at(gr, 64*n), at(theta, 28*n), n, float32(beta))
	})
}

func (c *card) Rotate(y, x, r backend.Buffer, rows, n int, inverse bool) {
	c.run("the gate", func() {
		back := 0
		if inverse {
			back = 1
		}
		c.launch("rotate", each(rows*n), at(y, 8*rows*n), at(x, 8*rows*n), at(r, 64*n), rows, n, back)
	})
}

func (c *card) RotateGrad(gr, x, gy backend.Buffer, rows, n int) {
	c.run("the gate's outer products", func() {
		c.launch("rotate_grad", blocks(n), at(gr, 64*n), at(x, 8*rows*n), at(gy, 8*rows*n), rows, n)
	})
}

// mostParts bounds the partial sums of a sum of squares.
const mostParts = 1024

func (c *card) SumSquares(acc, x backend.Buffer) {
	c.run("a sum of squares", func() {
		n := x.Len()
		g := each(n)
		g.X = min(g.X, mostParts)
		parts, done := c.scratch(8 * mostParts)
		defer done()
		c.launch("sum_squares", g, parts, at(x, n), n)
		c.launch("add_parts", blocks(1), at(acc, 1), parts, g.X)
	})
}

func (c *card) AdamW(a backend.AdamWArgs) {
	c.run("AdamW", func() {
		n := a.P.Len()
		if a.G.Len() != n || a.M.Len() != n || a.V.Len() != n {
			panic("parameter, gradient and moments differ in length")
		}
		rate := a.LR / (1 - math.Pow(a.Beta1, float64(a.Step)))
		root2 := math.Sqrt(1 - math.Pow(a.Beta2, float64(a.Step)))
		c.launch("adamw", each(n), at(a.P, n), at(a.G, n), at(a.M, n), at(a.V, n), n, float32(a.GradScale), float32(1-a.LR*a.Decay),
			float32(a.Beta1), float32(1-a.Beta1), float32(a.Beta2), float32(1-a.Beta2), float32(rate), float32(root2), float32(a.Eps))
	})
}
