package cpu

import "github.com/so8t/so8t/stages/internal/backend"

func (m *machine[T]) RMSNorm(y, inv, x, gain backend.Buffer, rows, cols int, eps float64) {
	m.run("RMSNorm", func() {
		yv, iv, xv, gv := data[T](y)[:rows*cols], data[T](inv)[:rows], data[T](x)[:rows*cols], data[T](gain)[:cols]
		m.split(rows, 1, grain/cols, func(i, j int) {
			m.k.rmsNorm(yv[i*cols:j*cols], iv[i:j], xv[i*cols:j*cols], gv, cols, T(eps))
		})
	})
}

func (m *machine[T]) RMSNormBack(gx, ggain, gy, x, gain, inv backend.Buffer, rows, cols int, beta, gbeta float64) {
	m.run("RMSNorm's gradient", func() {
		n := rows * cols
		gxv, gyv, xv, gv, iv := data[T](gx)[:n], data[T](gy)[:n], data[T](x)[:n], data[T](gain)[:cols], data[T](inv)[:rows]
		if gg := data[T](ggain); gg != nil {
			m.split(cols, 16, 32, func(from, to int) { m.k.gainBack(gg[:cols], gyv, xv, iv, cols, from, to, T(gbeta)) })
		}
		m.split(rows, 1, grain/cols, func(i, j int) {
			m.k.rmsNormBack(gxv[i*cols:j*cols], gyv[i*cols:j*cols], xv[i*cols:j*cols], gv, iv[i:j], cols, T(beta))
		})
	})
}

func (m *machine[T]) Rope(dst, src backend.Buffer, s backend.AttentionShape, t backend.RopeTable, pk backend.Packing, inverse bool) {
	m.run("RoPE", func() {
		l, w := layout(pk), s.Width()
		d, sv, cos, sin := data[T](dst)[:l.rows*w], data[T](src)[:l.rows*w], data[T](t.Cos), data[T](t.Sin)
		top := len(cos) / max(1, t.Rotary/2)
		for _, p := range l.positions {
			if int(p) >= top || p < 0 {
				panic("position outside the rotary table")
			}
		}
		m.split(l.rows, 1, max(1, grain/w), func(i, j int) {
			m.k.rope(d[i*w:j*w], sv[i*w:j*w], l.positions[i:j], cos, sin, s, t.Rotary, inverse)
		})
	})
}

func (m *machine[T]) Attention(out, lse, qkv backend.Buffer, s backend.AttentionShape, pk backend.Packing) {
	m.run("attention", func() {
		l := layout(pk)
		o, ls, x := data[T](out), data[T](lse), data[T](qkv)
		for _, r := range l.padding {
			clear(o[r[0]*s.Heads*s.Dim : r[1]*s.Heads*s.Dim])
			clear(ls[r[0]*s.Heads : r[1]*s.Heads])
		}
		m.pool.run(len(l.segments)*s.KVHeads, func(task int) {
			h := unit(s, l.segments[task/s.KVHeads], task%s.KVHeads, x, o, ls)
			m.k.attend(&h)
		})
	})
}

func (m *machine[T]) AttentionBack(gqkv, gout, out, lse, qkv backend.Buffer, s backend.AttentionShape, pk backend.Packing) {
	m.run("attention's gradient", func() {
		l := layout(pk)
		g, o, ls, x := data[T](gqkv), data[T](out), data[T](lse), data[T](qkv)
		for _, r := range l.padding {
			clear(g[r[0]*s.Width() : r[1]*s.Width()])
		}
		m.pool.run(len(l.segments)*s.KVHeads, func(task int) {
			seg, kv := l.segments[task/s.KVHeads], task%s.KVHeads
			h := unit(s, seg, kv, x, o, ls)
			hg := unit(s, seg, kv, g, data[T](gout), ls)
			h.gq, h.gk, h.gv, h.gout = hg.q, hg.k, hg.v, hg.out
			m.k.attendBack(&h)
		})
	})
}

// unit cuts one segment's key head and its query heads out of fused rows.
func unit[T real](s backend.AttentionShape, seg backend.Segment, kv int, qkv, out, lse []T) heads[T] {
	w, group := s.Width(), s.Heads/s.KVHeads
	row := qkv[seg.Start*w : (seg.Start+seg.Len)*w]
	key := (s.Heads + kv) * s.Dim
	h := heads[T]{ld: w, ldo: s.Heads * s.Dim, ldl: s.Heads, rows: seg.Len, dim: s.Dim, group: group, window: s.Window, scale: scale[T](s)}
	if seg.Len == 0 {
		return h
	}
	h.q, h.k, h.v = row[kv*group*s.Dim:], row[key:], row[key+s.KVHeads*s.Dim:]
	h.out = out[seg.Start*h.ldo+kv*group*s.Dim : (seg.Start+seg.Len)*h.ldo]
	h.lse = lse[seg.Start*s.Heads+kv*group : (seg.Start+seg.Len)*s.Heads]
	return h
}

func (m *machine[T]) SwiGLU(y, gu backend.Buffer, rows, width int) {
	m.run("SwiGLU", func() {
		yv, g := data[T](y)[:rows*width], data[T](gu)[:2*rows*width]
		m.split(rows, 1, max(1, grain/4/width), func(i, j int) { m.k.swiglu(yv[i*width:j*width], g[2*i*width:2*j*width], width) })
	})
}

func (m *machine[T]) SwiGLUBack(ggu, gy, gu backend.Buffer, rows, width int) {
	m.run("SwiGLU's gradient", func() {
		n := rows * width
		gg, gv, g := data[T](ggu)[:2*n], data[T](gy)[:n], data[T](gu)[:2*n]
		m.split(rows, 1, max(1, grain/4/width), func(i, j int) {
			m.k.swigluBack(gg[2*i*width:2*j*width], gv[i*width:j*width], g[2*i*width:2*j*width], width)
		})
	})
}

// rowScores is what the room for one query's scores is a multiple of: whole vectors.
const rowScores = 16

func (m *machine[T]) CachedAttention(out backend.Buffer, q backend.Mat, keys, values backend.Buffer, s backend.AttentionShape, n, past int) {
	m.run("attention over a cache", func() {
		o, k, v := data[T](out), data[T](keys), data[T](values)
		qv, ld := data[T](q.Buf)[q.Off:], s.KVHeads*s.Dim
		checkCache(s, n, past, q.LD, o, qv, k, v)
		room := (past + n + rowScores - 1) / rowScores * rowScores
		scores := m.mem.take(s.Heads * room)
		defer m.mem.give(scores)
		for i := range n {
			m.split(s.Heads, 1, max(1, grain/((past+n)*s.Dim)), func(from, to int) {
				for h := from; h < to; h++ {
					kv := h / (s.Heads / s.KVHeads) * s.Dim
					m.k.attendRow(o[(i*s.Heads+h)*s.Dim:][:s.Dim], qv[i*q.LD+h*s.Dim:][:s.Dim], k[kv:], v[kv:],
						ld, past+i, s.Window, scale[T](s), scores.data[h*room:(h+1)*room])
				}
			})
		}
	})
}

// checkCache panics when something is too short: the kernels in C do not look.
func checkCache[T real](s backend.AttentionShape, n, past, ldq int, out, q, keys, values []T) {
	filled := (past + n) * s.KVHeads * s.Dim
	if n > 0 {
		_, _, _, _ = keys[filled-1], values[filled-1], q[(n-1)*ldq+s.Heads*s.Dim-1], out[n*s.Heads*s.Dim-1]
	}
}
