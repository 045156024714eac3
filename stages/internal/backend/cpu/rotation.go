package cpu

import (
	"github.com/so8t/so8t/stages/internal/backend"
)

func (m *machine[T]) Cayley(r, theta backend.Buffer, blocks int) {
	m.run("the gate's rotation", func() {
		rv, th := data[T](r)[:64*blocks], data[T](theta)[:28*blocks]
		m.split(blocks, 1, 4, func(i, j int) {
			for b := i; b < j; b++ {
				cayley(rv[64*b:64*b+64], th[28*b:28*b+28])
			}
		})
	})
}

func (m *machine[T]) CayleyBack(gtheta, gr, theta, r backend.Buffer, blocks int, beta float64) {
	m.run("the gate's gradient", func() {
		gt, g, th, rv := data[T](gtheta)[:28*blocks], data[T](gr)[:64*blocks], data[T](theta)[:28*blocks], data[T](r)[:64*blocks]
		m.split(blocks, 1, 4, func(i, j int) {
			for b := i; b < j; b++ {
				cayleyBack(gt[28*b:28*b+28], g[64*b:64*b+64], th[28*b:28*b+28], rv[64*b:64*b+64], T(beta))
			}
		})
	})
}

func (m *machine[T]) Rotate(y, x, r backend.Buffer, rows, blocks int, inverse bool) {
	m.run("the gate", func() {
		cols := 8 * blocks
		yv, xv, rv := data[T](y)[:rows*cols], data[T](x)[:rows*cols], data[T](r)[:64*blocks]
		m.split(rows, 1, max(1, grain/cols/4), func(i, j int) { m.k.rotate(yv[i*cols:j*cols], xv[i*cols:j*cols], rv, blocks, inverse) })
	})
}

func (m *machine[T]) RotateGrad(gr, x, gy backend.Buffer, rows, blocks int) {
	m.run("the gate's outer products", func() {
		cols := 8 * blocks
		g, xv, gv := data[T](gr)[:64*blocks], data[T](x)[:rows*cols], data[T](gy)[:rows*cols]
		m.split(blocks, 1, 1, func(i, j int) { m.k.rotateGrad(g, xv, gv, rows, cols, i, j) })
	})
}

// skew writes I + sign*A/2 for A with the 28 upper entries.
func skew[T real](out *[64]float64, theta []T, sign float64) {
	*out = [64]float64{}
	p := 0
	for i := range 8 {
		out[9*i] = 1
		for j := i + 1; j < 8; j++ {
			out[8*i+j] = sign * float64(theta[p]) / 2
			out[8*j+i] = -out[8*i+j]
			p++
		}
	}
}

// cayley is R = (I - A/2)⁻¹(I + A/2), in float64 whatever T is.
func cayley[T real](r, theta []T) {
	var left, right [64]float64
	skew(&left, theta, -1)
	skew(&right, theta, 1)
	solve(&left, &right)
	for i, v := range right {
		r[i] = T(v)
	}
}

// cayleyBack turns G = ∂/∂R into the gradient of theta. From dR = (I-A/2)⁻¹ dA (I+R)/2: ∂/∂A = (I-A/2)⁻ᵀ G (I+R)ᵀ / 2, and
// theta enters A at (i,j) and, negated, at (j,i). (I-A/2)ᵀ = I+A/2.
func cayleyBack[T real](gtheta, gr, theta, _ []T, beta T) {
	var left, right, plus, g [64]float64
	skew(&left, theta, -1)
	skew(&right, theta, 1)
	plus = right
	solve(&left, &right) // R again, in full precision
	for i := range 8 {
		for j := range 8 {
			s := float64(gr[8*i+j]) // G (I+R)ᵀ = G + G Rᵀ
			for k := range 8 {
				s += float64(gr[8*i+k]) * right[8*j+k]
			}
			g[8*i+j] = s / 2
		}
	}
	solve(&plus, &g)
	p := 0
	for i := range 8 {
		for j := i + 1; j < 8; j++ {
			gtheta[p] = T(g[8*i+j]-g[8*j+i]) + scaled(beta, gtheta[p])
			p++
		}
	}
}

// solve replaces b by a⁻¹b by elimination with row pivoting; a is destroyed. I ± A/2 is never singular: its eigenvalues are 1 ± iφ/2.
func solve(a, b *[64]float64) {
	for c := range 8 {
		pivot := c
		for r := c + 1; r < 8; r++ {
			if abs(a[8*r+c]) > abs(a[8*pivot+c]) {
				pivot = r
			}
		}
		if pivot != c {
			for j := range 8 {
				a[8*c+j], a[8*pivot+j] = a[8*pivot+j], a[8*c+j]
				b[8*c+j], b[8*pivot+j] = b[8*pivot+j], b[8*c+j]
			}
		}
		for r := c + 1; r < 8; r++ {
			f := a[8*r+c] / a[9*c]
			if f == 0 {
				continue
			}
			for j := range 8 {
				a[8*r+j] -= f * a[8*c+j]
				b[8*r+j] -= f * b[8*c+j]
			}
		}
	}
	for c := 7; c >= 0; c-- {
		for j := range 8 {
			s := b[8*c+j]
			for k := c + 1; k < 8; k++ {
				s -= a[8*c+k] * b[8*k+j]
			}
			b[8*c+j] = s / a[9*c]
		}
	}
}

func abs(x float64) float64 {
	if x < 0 {
		return -x
	}
	return x
}
