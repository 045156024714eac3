package cpu

import "math"

// blockAttention computes attention as small matrix products, blockRows queries at a time: what native/attention.h does in C.
type blockAttention[T real] struct{ gemm gemmFunc[T] }

const blockRows = 48

// block is query rows [t0, t1), which see keys [from, t1).
type block struct{ t0, t1, from int }

func (h *heads[T]) blocks(f func(block)) {
	for t0 := 0; t0 < h.rows; t0 += blockRows {
		b := block{t0: t0, t1: min(t0+blockRows, h.rows)}
		if h.window > 0 {
			b.from = max(0, t0-h.window+1)
		}
		f(b)
	}
}

// visible is the range of keys of row t, counted from the block's first key.
func (h *heads[T]) visible(b block, t int) (lo, hi int) {
	if h.window > 0 {
		lo = max(0, t-h.window+1-b.from)
	}
	return lo, t + 1 - b.from
}

func rowsOf[T real](d []T, from, ld int) matrix[T] { return matrix[T]{d[from*ld:], ld, 1} }

func (a blockAttention[T]) attend(h *heads[T]) {
	s := make([]T, blockRows*h.rows)
	var norm [blockRows]T
	for g := range h.group {
		h.blocks(func(b block) {
			rows, n := b.t1-b.t0, b.t1-b.from
			q, k, v := rowsOf(h.q[g*h.dim:], b.t0, h.ld), rowsOf(h.k, b.from, h.ld), rowsOf(h.v, b.from, h.ld)
			a.gemm(rows, n, h.dim, h.scale, q, k.transposed(), 0, s, n)
			for t := range rows {
				row := s[t*n : (t+1)*n]
				lo, hi := h.visible(b, b.t0+t)
				clear(row[:lo])
				clear(row[hi:])
				top, sum := row[lo], T(0)
				for _, x := range row[lo:hi] {
					top = max(top, x)
				}
				for i, x := range row[lo:hi] {
					e := exp(x - top)
					sum += e
					row[lo+i] = e
				}
				norm[t] = 1 / sum
				h.lse[(b.t0+t)*h.ldl+g] = top + T(math.Log(float64(sum)))
			}
			out := h.out[b.t0*h.ldo+g*h.dim:]
			a.gemm(rows, h.dim, n, 1, matrix[T]{s, n, 1}, v, 0, out, h.ldo)
			for t := range rows {
				goScale(out[t*h.ldo:t*h.ldo+h.dim], norm[t])
			}
		})
	}
}

func (a blockAttention[T]) attendBack(h *heads[T]) {
	s, d := make([]T, blockRows*h.rows), make([]T, blockRows*h.rows)
	for t := range h.rows {
		clear(h.gk[t*h.ld : t*h.ld+h.dim])
		clear(h.gv[t*h.ld : t*h.ld+h.dim])
	}
	for g := range h.group {
		h.blocks(func(b block) {
			rows, n := b.t1-b.t0, b.t1-b.from
			q, k, v := rowsOf(h.q[g*h.dim:], b.t0, h.ld), rowsOf(h.k, b.from, h.ld), rowsOf(h.v, b.from, h.ld)
			gout, out := rowsOf(h.gout[g*h.dim:], b.t0, h.ldo), rowsOf(h.out[g*h.dim:], b.t0, h.ldo)
			a.gemm(rows, n, h.dim, h.scale, q, k.transposed(), 0, s, n)
			a.gemm(rows, n, h.dim, 1, gout, v.transposed(), 0, d, n)
			for t := range rows {
				delta := dot(gout.data[t*h.ldo:t*h.ldo+h.dim], out.data[t*h.ldo:])
				h.softmaxBack(b, t, h.lse[(b.t0+t)*h.ldl+g], delta, s[t*n:(t+1)*n], d[t*n:(t+1)*n])
			}
			p, ds := matrix[T]{s, n, 1}, matrix[T]{d, n, 1}
			a.gemm(n, h.dim, rows, 1, p.transposed(), gout, 1, h.gv[b.from*h.ld:], h.ld)
			a.gemm(rows, h.dim, n, 1, ds, k, 0, h.gq[b.t0*h.ld+g*h.dim:], h.ld)
			a.gemm(n, h.dim, rows, 1, ds.transposed(), q, 1, h.gk[b.from*h.ld:], h.ld)
		})
	}
}

// softmaxBack turns scores into probabilities and their gradients into those of the scores.
func (h *heads[T]) softmaxBack(b block, t int, lse, delta T, scores, grads []T) {
	lo, hi := h.visible(b, b.t0+t)
	for i := range scores {
		if i < lo || i >= hi {
			scores[i], grads[i] = 0, 0
			continue
		}
		p := exp(scores[i] - lse)
		scores[i], grads[i] = p, p*(grads[i]-delta)*h.scale
	}
}
