package cpu

import "math"

func dot[T real](a, b []T) T {
	b = b[:len(a)]
	var s0, s1, s2, s3 T
	for len(a) >= 4 {
		x, y := a[:4:4], b[:4:4]
		s0 += x[0] * y[0]
		s1 += x[1] * y[1]
		s2 += x[2] * y[2]
		s3 += x[3] * y[3]
		a, b = a[4:], b[4:]
	}
	for i, v := range a {
		s0 += v * b[i]
	}
	return (s0 + s1) + (s2 + s3)
}

func addScaled[T real](dst []T, f T, x []T) {
	x = x[:len(dst)]
	for i := range dst {
		dst[i] += f * x[i]
	}
}

// attendRow is one query over keys [from, t]; it leaves exp(score - max) in scores and returns the log-sum-exp.
func attendRow[T real](out, q, k, v []T, ld, t, window int, scale T, scores []T) T {
	from := 0
	if window > 0 {
		from = max(0, t-window+1)
	}
	top := T(math.Inf(-1))
	for s := from; s <= t; s++ {
		scores[s] = scale * dot(q, k[s*ld:])
		top = max(top, scores[s])
	}
	var sum T
	clear(out)
	for s := from; s <= t; s++ {
		e := exp(scores[s] - top)
		sum += e
		addScaled(out, e, v[s*ld:])
	}
	for i := range out {
		out[i] /= sum
	}
	return top + T(math.Log(float64(sum)))
}

func goAttend[T real](h *heads[T]) {
	scores := make([]T, h.rows)
	for g := range h.group {
		for t := range h.rows {
			at := t*h.ldo + g*h.dim
			h.lse[t*h.ldl+g] = attendRow(h.out[at:at+h.dim], h.q[t*h.ld+g*h.dim:][:h.dim], h.k, h.v, h.ld, t, h.window, h.scale, scores)
		}
	}
}

func goAttendBack[T real](h *heads[T]) {
	for t := range h.rows {
		clear(h.gk[t*h.ld:][:h.dim])
		clear(h.gv[t*h.ld:][:h.dim])
	}
	for g := range h.group {
		for t := range h.rows {
			q, gq := h.q[t*h.ld+g*h.dim:][:h.dim], h.gq[t*h.ld+g*h.dim:][:h.dim]
			gout := h.gout[t*h.ldo+g*h.dim:][:h.dim]
			delta := dot(gout, h.out[t*h.ldo+g*h.dim:])
			lse := h.lse[t*h.ldl+g]
			clear(gq)
			from := 0
			if h.window > 0 {
				from = max(0, t-h.window+1)
			}
			for s := from; s <= t; s++ {
				k, v := h.k[s*h.ld:][:h.dim], h.v[s*h.ld:][:h.dim]
				p := exp(h.scale*dot(q, k) - lse)
				addScaled(h.gv[s*h.ld:][:h.dim], p, gout)
				ds := p * (dot(gout, v) - delta) * h.scale
				addScaled(gq, ds, k)
				addScaled(h.gk[s*h.ld:][:h.dim], ds, q)
			}
		}
	}
}
