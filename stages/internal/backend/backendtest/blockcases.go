package backendtest

import (
	"math"

	"github.com/so8t/so8t/stages/internal/backend"
)

func blockCases() []Case {
	var cs []Case
	for _, s := range [][2]int{{1, 8}, {5, 17}, {70, 128}, {33, 1000}} {
		cs = append(cs, normCase(s[0], s[1]), swigluCase(s[0], s[1]))
	}
	for _, s := range []backend.AttentionShape{{Heads: 4, KVHeads: 2, Dim: 16}, {Heads: 3, KVHeads: 3, Dim: 8}, {Heads: 4, KVHeads: 2, Dim: 32}} {
		cs = append(cs, ropeCase(s, 12*s.Dim/16), ropeCase(s, s.Dim))
	}
	return cs
}

func normCase(rows, cols int) Case {
	back := func(r *rig, x, gain, gy backend.Buffer) (gx, ggain backend.Buffer) {
		y, inv := r.output(rows*cols), r.output(rows)
		r.be.RMSNorm(y, inv, x, gain, rows, cols, 1e-5)
		gx, ggain = r.output(rows*cols), r.output(cols)
		r.be.RMSNormBack(gx, ggain, gy, x, gain, inv, rows, cols, 0, 0)
		return gx, ggain
	}
	c := Case{Name: sized("rmsnorm", rows, cols)}
	c.run = func(r *rig) {
		x, gain, gy := r.input(rows*cols, 2), r.input(cols, 1), r.input(rows*cols, 1)
		y, inv := r.output(rows*cols), r.output(rows)
		r.be.RMSNorm(y, inv, x, gain, rows, cols, 1e-5)
		r.keep("y", y)
		r.keep("inv", inv)
		gx, ggain := back(r, x, gain, gy)
		r.keep("gx", gx)
		r.keep("ggain", ggain)
		r.be.RMSNormBack(gx, ggain, gy, x, gain, inv, rows, cols, 1, 0.5)
		r.keep("gx added", gx)
		r.keep("ggain added", ggain)
	}
	var weights []float64
	c.grad = &gradient{
		inputs: func(r *rig) [][]float64 {
			weights = r.random(rows*cols, 1)
			return [][]float64{r.random(rows*cols, 2), r.random(cols, 1)}
		},
		value: func(r *rig, in [][]float64) float64 {
			y := r.output(rows * cols)
			r.be.RMSNorm(y, r.output(rows), r.put(in[0]), r.put(in[1]), rows, cols, 1e-5)
			return dotProduct(r.get(y), weights)
		},
		analytic: func(r *rig, in [][]float64) [][]float64 {
			gx, gg := back(r, r.put(in[0]), r.put(in[1]), r.put(weights))
			return [][]float64{r.get(gx), r.get(gg)}
		},
	}
	return c
}

func swigluCase(rows, width int) Case {
	c := Case{Name: sized("swiglu", rows, width)}
	c.run = func(r *rig) {
		x := r.random(rows*width*2, 3)
		x[0], x[len(x)/2] = 200, -200 // far outside what exp can hold in float32
		gu, gy := r.put(x), r.input(rows*width, 1)
		y, g := r.output(rows*width), r.output(2*rows*width)
		r.be.SwiGLU(y, gu, rows, width)
		r.be.SwiGLUBack(g, gy, gu, rows, width)
		r.keep("y", y)
		r.keep("g", g)
	}
	var weights []float64
	c.grad = &gradient{
		inputs: func(r *rig) [][]float64 {
			weights = r.random(rows*width, 1)
			return [][]float64{r.random(2*rows*width, 2)}
		},
		value: func(r *rig, in [][]float64) float64 {
			y := r.output(rows * width)
			r.be.SwiGLU(y, r.put(in[0]), rows, width)
			return dotProduct(r.get(y), weights)
		},
		analytic: func(r *rig, in [][]float64) [][]float64 {
			g := r.output(2 * rows * width)
			r.be.SwiGLUBack(g, r.put(weights), r.put(in[0]), rows, width)
			return [][]float64{r.get(g)}
		},
	}
	return c
}

func ropeTable(r *rig, positions, rotary int) backend.RopeTable {
	half := rotary / 2
	cos, sin := make([]float64, positions*half), make([]float64, positions*half)
	for p := range positions {
		for i := range half {
			a := float64(p) * math.Pow(100, -float64(i)/float64(half))
			cos[p*half+i], sin[p*half+i] = float64(float32(1.19*math.Cos(a))), float64(float32(1.19*math.Sin(a)))
		}
	}
	return backend.RopeTable{Cos: r.put(cos), Sin: r.put(sin), Rotary: rotary}
}

func ropeCase(s backend.AttentionShape, rotary int) Case {
	return Case{Name: sized("rope", s.Heads, s.KVHeads, s.Dim, rotary), run: func(r *rig) {
		pk := pack(r, 3, 40, 1, 9)
		table := ropeTable(r, 64, rotary)
		n := pk.Rows() * s.Width()
		x, g := r.input(n, 1), r.input(n, 1)
		y, gx := r.output(n), r.output(n)
		r.be.Rope(y, x, s, table, pk, false)
		r.be.Rope(gx, g, s, table, pk, true)
		r.keep("y", y)
		r.keep("gx", gx)
		// The inverse is the transpose: <g, Rope x> = <Ropeᵀ g, x>.
		if a, b := dotProduct(r.get(g), r.get(y)), dotProduct(r.get(gx), r.get(x)); math.Abs(a-b) > 1e-4*math.Abs(a)+1e-2 {
			r.t.Errorf("<g, rope x> = %g but <ropeᵀ g, x> = %g", a, b)
		}
		r.be.Rope(x, x, s, table, pk, false)
		r.keep("in place", x)
	}}
}

func attentionCases() []Case {
	var cs []Case
	type shape struct {
		s       backend.AttentionShape
		lengths []int
	}
	for _, v := range []shape{
		{backend.AttentionShape{Heads: 4, KVHeads: 2, Dim: 16}, []int{1, 7, 0, 33, 2}},
		{backend.AttentionShape{Heads: 2, KVHeads: 2, Dim: 8}, []int{70, 3}},
		{backend.AttentionShape{Heads: 4, KVHeads: 2, Dim: 32}, []int{130, 64, 65}},
		{backend.AttentionShape{Heads: 4, KVHeads: 1, Dim: 24, Window: 5}, []int{90, 4}},
		{backend.AttentionShape{Heads: 3, KVHeads: 1, Dim: 128, Scale: 0.3}, []int{20}},
	} {
		cs = append(cs, attentionCase(v.s, v.lengths))
	}
	return append(cs, cacheCase(backend.AttentionShape{Heads: 4, KVHeads: 2, Dim: 32}, 37, 5), cacheCase(backend.AttentionShape{Heads: 2, KVHeads: 1, Dim: 16, Window: 9}, 20, 1))
}

func attentionCase(s backend.AttentionShape, lengths []int) Case {
	rows := packing(lengths...).Rows
	in, width := rows*s.Width(), rows*s.Heads*s.Dim
	both := func(r *rig, qkv, gout backend.Buffer) (out, lse, g backend.Buffer) {
		pk := pack(r, lengths...)
		out, lse, g = r.output(width), r.output(rows*s.Heads), r.output(in)
		r.be.Attention(out, lse, qkv, s, pk)
		r.be.AttentionBack(g, gout, out, lse, qkv, s, pk)
		return out, lse, g
	}
	c := Case{Name: sized("attention", append([]int{s.Heads, s.KVHeads, s.Dim, s.Window}, lengths...)...)}
	c.run = func(r *rig) {
		out, lse, g := both(r, r.input(in, 1.5), r.input(width, 1))
		r.keep("out", out)
		r.keep("lse", lse)
		r.keep("g", g)
	}
	var weights []float64
	c.grad = &gradient{
		inputs: func(r *rig) [][]float64 {
			weights = r.random(width, 1)
			return [][]float64{r.random(in, 1)}
		},
		value: func(r *rig, x [][]float64) float64 {
			out := r.output(width)
			r.be.Attention(out, r.output(rows*s.Heads), r.put(x[0]), s, pack(r, lengths...))
			return dotProduct(r.get(out), weights)
		},
		analytic: func(r *rig, x [][]float64) [][]float64 {
			_, _, g := both(r, r.put(x[0]), r.put(weights))
			return [][]float64{r.get(g)}
		},
	}
	return c
}

// cacheCase compares decoding over a cache with attention over the whole sequence.
func cacheCase(s backend.AttentionShape, past, n int) Case {
	return Case{Name: sized("cached attention", s.Heads, s.KVHeads, s.Dim, past, n), run: func(r *rig) {
		rows, w, kw := past+n, s.Width(), s.KVHeads*s.Dim
		qkv := r.input(rows*w, 1)
		out, lse := r.output(rows*s.Heads*s.Dim), r.output(rows*s.Heads)
		r.be.Attention(out, lse, qkv, s, r.be.Pack(backend.PackingData{Rows: rows, Segments: []backend.Segment{{Start: 0, Len: rows}}}))
		keys, values := r.output((rows+4)*kw), r.output((rows+4)*kw)
		r.be.Copy2D(backend.Mat{Buf: keys, LD: kw}, backend.Mat{Buf: qkv, Off: s.Heads * s.Dim, LD: w}, rows, kw)
		r.be.Copy2D(backend.Mat{Buf: values, LD: kw}, backend.Mat{Buf: qkv, Off: s.Heads*s.Dim + kw, LD: w}, rows, kw)
		decoded := r.output(n * s.Heads * s.Dim)
		r.be.CachedAttention(decoded, backend.Mat{Buf: qkv, Off: past * w, LD: w}, keys, values, s, n, past)
		r.keep("decoded", decoded)
		compare(r.t, "decoded against attention", r.get(decoded), r.get(out)[past*s.Heads*s.Dim:], 1e-5)
	}}
}
