package cpu

import (
	"math"

	"github.com/so8t/so8t/stages/internal/backend"
)

// goKernels is the complete table in plain Go.
func goKernels[T real]() kernels[T] {
	return kernels[T]{
		gemm: goGemm[T], panel: goPanel,
		axpby: goAxpby[T], dropout: goDropout[T], rmsNorm: goRMSNorm[T], rmsNormBack: goRMSNormBack[T], gainBack: goGainBack[T],
		rope: goRope[T], attend: goAttend[T], attendBack: goAttendBack[T], swiglu: goSwiGLU[T], swigluBack: goSwiGLUBack[T],
		rotate: goRotate[T], rotateGrad: goRotateGrad[T], softmaxNLL: goSoftmaxNLL[T], sumSquares: goSumSquares[T],
		secondDifference: goSecondDifference[T], adamW: goAdamW[T], reader: goReader[T],
		attendRow: func(out, q, k, v []T, ld, t, window int, scale T, scores []T) {
			attendRow(out, q, k, v, ld, t, window, scale, scores)
		},
	}
}

func sqrt[T real](x T) T { return T(math.Sqrt(float64(x))) }
func exp[T real](x T) T  { return T(math.Exp(float64(x))) }

func scale[T real](s backend.AttentionShape) T {
	if s.Scale != 0 {
		return T(s.Scale)
	}
	return T(1 / math.Sqrt(float64(s.Dim)))
}

func goAxpby[T real](dst []T, alpha T, x []T, beta T, y []T) {
	if y == nil {
		for i, v := range x {
			dst[i] = alpha * v
		}
		return
	}
	y = y[:len(x)]
	for i, v := range x {
		dst[i] = alpha*v + beta*y[i]
	}
}

func goDropout[T real](d, x []T, cols int, key, id uint64, threshold uint32, keep, beta T) {
	for r := range len(x) / cols {
		row := backend.DropoutRow(key, id, r)
		out := d[r*cols : (r+1)*cols]
		for c, v := range x[r*cols : (r+1)*cols] {
			if backend.DropoutHash(row, uint32(c)) < threshold {
				v = 0
			}
			out[c] = v*keep + scaled(beta, out[c])
		}
	}
}

func goRMSNorm[T real](y, inv, x, gain []T, cols int, eps T) {
	for r := range inv {
		row, out := x[r*cols:(r+1)*cols], y[r*cols:(r+1)*cols]
		inv[r] = 1 / sqrt(dot(row, row)/T(cols)+eps)
		for i, v := range row {
			out[i] = v * inv[r] * gain[i]
		}
	}
}

// goRMSNormBack: with u = gy*gain, gx = inv*u - x * inv³ * mean(u·x).
func goRMSNormBack[T real](gx, gy, x, gain, inv []T, cols int, beta T) {
	for r, s := range inv {
		row, g, out := x[r*cols:(r+1)*cols], gy[r*cols:(r+1)*cols], gx[r*cols:(r+1)*cols]
		var sum T
		for i, v := range row {
			sum += g[i] * gain[i] * v
		}
		c := sum / T(cols) * s * s * s
		for i, v := range row {
			out[i] = s*g[i]*gain[i] - c*v + scaled(beta, out[i])
		}
	}
}

func goGainBack[T real](ggain, gy, x, inv []T, cols, from, to int, beta T) {
	out := ggain[from:to]
	for i := range out {
		out[i] = scaled(beta, out[i])
	}
	for r, s := range inv {
		g, row := gy[r*cols+from:r*cols+to], x[r*cols+from:r*cols+to]
		for i := range out {
			out[i] += g[i] * row[i] * s
		}
	}
}

func goRope[T real](dst, src []T, positions []int32, cos, sin []T, s backend.AttentionShape, rotary int, inverse bool) {
	w, half := s.Width(), rotary/2
	for r, p := range positions {
		in, out := src[r*w:(r+1)*w], dst[r*w:(r+1)*w]
		if &in[0] != &out[0] {
			copy(out, in)
		}
		c, sn := cos[int(p)*half:(int(p)+1)*half], sin[int(p)*half:(int(p)+1)*half]
		for h := range s.Heads + s.KVHeads {
			v := out[h*s.Dim : h*s.Dim+rotary]
			for i := range half {
				a, b, si := v[i], v[i+half], sn[i]
				if inverse {
					si = -si
				}
				v[i], v[i+half] = a*c[i]-b*si, b*c[i]+a*si
			}
		}
	}
}

func goSwiGLU[T real](y, gu []T, width int) {
	for r := range len(y) / width {
		gate, up, out := gu[2*r*width:(2*r+1)*width], gu[(2*r+1)*width:(2*r+2)*width], y[r*width:(r+1)*width]
		for i, g := range gate {
			out[i] = g / (1 + exp(-g)) * up[i]
		}
	}
}

func goSwiGLUBack[T real](ggu, gy, gu []T, width int) {
	for r := range len(gy) / width {
		gate, up, g := gu[2*r*width:(2*r+1)*width], gu[(2*r+1)*width:(2*r+2)*width], gy[r*width:(r+1)*width]
		ggate, gup := ggu[2*r*width:(2*r+1)*width], ggu[(2*r+1)*width:(2*r+2)*width]
		for i, x := range gate {
			sig := 1 / (1 + exp(-x))
			u, d := up[i], g[i]
			gup[i] = d * x * sig
			ggate[i] = d * u * sig * (1 + x*(1-sig))
		}
	}
}

func goRotate[T real](y, x, r []T, blocks int, inverse bool) {
	for at := 0; at < len(x); at += 8 * blocks {
		for b := range blocks {
			rb, in, out := r[64*b:64*b+64], x[at+8*b:at+8*b+8], y[at+8*b:at+8*b+8]
			var sum [8]T
			for i, v := range in {
				for o := range 8 {
					if inverse {
						sum[o] += v * rb[8*o+i]
					} else {
						sum[o] += v * rb[8*i+o]
					}
				}
			}
			copy(out, sum[:])
		}
	}
}

func goRotateGrad[T real](gr, x, gy []T, rows, cols, from, to int) {
	clear(gr[64*from : 64*to])
	for r := range rows {
		for b := from; b < to; b++ {
			in, g, out := x[r*cols+8*b:r*cols+8*b+8], gy[r*cols+8*b:r*cols+8*b+8], gr[64*b:64*b+64]
			for i, v := range in {
				for o, d := range g {
					out[8*i+o] += v * d
				}
			}
		}
	}
}

func goSoftmaxNLL[T real](logits []T, target int, scale T, grad bool) float64 {
	top := logits[0]
	for _, v := range logits {
		top = max(top, v)
	}
	at := float64(logits[target])
	var sum float64
	for i, v := range logits {
		e := exp(v - top)
		sum += float64(e)
		if grad {
			logits[i] = e
		}
	}
	if grad {
		f := T(float64(scale) / sum)
		for i := range logits {
			logits[i] *= f
		}
		logits[target] -= scale
	}
	return math.Log(sum) + float64(top) - at
}

func goSumSquares[T real](x []T) float64 {
	var a, b, c, d float64
	for len(x) >= 4 {
		v := x[:4:4]
		a += float64(v[0]) * float64(v[0])
		b += float64(v[1]) * float64(v[1])
		c += float64(v[2]) * float64(v[2])
		d += float64(v[3]) * float64(v[3])
		x = x[4:]
	}
	for _, v := range x {
		a += float64(v) * float64(v)
	}
	return (a + b) + (c + d)
}

// goSecondDifference returns the sum of |d2|² and, when g is not empty, adds weight*d2 times (1, -2, 1) to the rows it came from.
func goSecondDifference[T real](g, h []T, rows, cols int, weight T) float64 {
	var sum float64
	for t := range rows - 2 {
		a, b, c := h[t*cols:(t+1)*cols], h[(t+1)*cols:(t+2)*cols], h[(t+2)*cols:(t+3)*cols]
		for i := range cols {
			d := c[i] - 2*b[i] + a[i]
			sum += float64(d) * float64(d)
			if len(g) > 0 {
				g[t*cols+i] += weight * d
				g[(t+1)*cols+i] -= 2 * weight * d
				g[(t+2)*cols+i] += weight * d
			}
		}
	}
	return sum
}

func goAdamW[T real](p, g, m, v []T, c adamW) {
	gs, shrink, b1, b2 := T(c.gradScale), T(c.shrink), T(c.beta1), T(c.beta2)
	n1, n2 := T(1-c.beta1), T(1-c.beta2)
	rate, root2, eps := T(c.rate), T(c.root2), T(c.eps)
	for i := range p {
		d := g[i] * gs
		m[i] = b1*m[i] + n1*d
		v[i] = b2*v[i] + n2*d*d
		p[i] = p[i]*shrink - rate*m[i]/(sqrt(v[i])/root2+eps)
	}
}
