package backendtest

import (
	"math"

	"github.com/so8t/so8t/stages/internal/backend"
)

// extremeCases are inputs at the ends of what a model can meet: rows of zeros, softmaxes that saturate, states without
// variation, angles of many turns. Where sums are large they are whole numbers, exact in every precision.
func extremeCases() []Case {
	return []Case{normExtremes(), attentionExtremes(), crossEntropyExtremes(), petExtremes(), gateCase(3, 2, 1e4), adamExtremes()}
}

// whole makes n whole numbers from -size to size.
func (r *rig) whole(n, size int) []float64 {
	v := make([]float64, n)
	for i := range v {
		v[i] = float64(r.rng.IntN(2*size+1) - size)
	}
	return v
}

// normExtremes has rows of zeros, of numbers whose squares vanish beside epsilon, of large ones and of one alone; and a
// gain that is zero in places.
func normExtremes() Case {
	const rows, cols = 5, 70
	return Case{Name: "extremes of rmsnorm", run: func(r *rig) {
		x := r.random(rows*cols, 1)
		for i := range cols {
			x[i] = 0
			x[cols+i] = float64(float32(1e-20 * x[cols+i]))
			x[2*cols+i] = float64(float32(1e15 * x[2*cols+i]))
			if i != 33 {
				x[3*cols+i] = 0
			}
		}
		g := r.random(cols, 1)
		g[0], g[7], g[69] = 0, 0, 0
		b, gain, gy := r.put(x), r.put(g), r.input(rows*cols, 1)
		y, inv := r.output(rows*cols), r.output(rows)
		r.be.RMSNorm(y, inv, b, gain, rows, cols, 1e-5)
		gx, ggain := r.output(rows*cols), r.output(cols)
		r.be.RMSNormBack(gx, ggain, gy, b, gain, inv, rows, cols, 0, 0)
		r.keep("y", y)
		r.keep("inv", inv)
		r.keep("gx", gx)
		r.keep("ggain", ggain)
	}}
}

// attentionExtremes has scores of hundreds: one key takes all, or several share it.
func attentionExtremes() Case {
	s := backend.AttentionShape{Heads: 2, KVHeads: 1, Dim: 16, Scale: 1}
	lengths := []int{1, 2, 70, 5}
	rows := packing(lengths...).Rows
	return Case{Name: "extremes of attention", run: func(r *rig) {
		pk := pack(r, lengths...)
		x := r.whole(rows*s.Width(), 9)
		for i := range s.Width() { // two rows alike, so that two keys tie
			x[40*s.Width()+i] = x[41*s.Width()+i]
		}
		qkv, gout := r.put(x), r.input(rows*s.Heads*s.Dim, 1)
		out, lse, g := r.output(rows*s.Heads*s.Dim), r.output(rows*s.Heads), r.output(rows*s.Width())
		r.be.Attention(out, lse, qkv, s, pk)
		r.be.AttentionBack(g, gout, out, lse, qkv, s, pk)
		r.keep("out", out)
		r.keep("lse", lse)
		r.keep("g", g)
	}}
}

// crossEntropyExtremes has logits of hundreds, and targets that are all but certain and all but impossible.
func crossEntropyExtremes() Case {
	const rows, cols, vocab = 12, 16, 90
	return Case{Name: "extremes of cross-entropy", run: func(r *rig) {
		h, w := r.put(r.whole(rows*cols, 9)), r.put(r.whole(vocab*cols, 9))
		targets := make([]int32, rows)
		for i := range targets {
			targets[i] = int32(r.rng.IntN(vocab))
		}
		targets[0], targets[1] = 0, vocab-1
		loss, nll, gh, gw := r.output(1), r.output(rows), r.output(rows*cols), r.output(vocab*cols)
		r.be.CrossEntropy(backend.CrossEntropyArgs{Loss: loss, NLL: nll, GH: gh, GW: gw, H: h, W: r.be.WeightOf(w, vocab, cols),
			Targets: r.scope.AllocInts(targets), Scale: 0.25})
		for name, b := range map[string]backend.Buffer{"loss": loss, "nll": nll} {
			for _, v := range r.get(b) {
				if v < 0 || math.IsInf(v, 0) {
					r.t.Errorf("%s of %g", name, v)
				}
			}
		}
		r.keep("loss", loss)
		r.keep("nll", nll)
		r.keep("gh", gh)
		r.keep("gw", gw)
	}}
}

// petExtremes has states of zeros, all alike, and large.
func petExtremes() Case {
	const cols = 24
	lengths := []int{5, 6, 7}
	rows := packing(lengths...).Rows
	return Case{Name: "extremes of pet", run: func(r *rig) {
		pk := pack(r, lengths...)
		h := r.whole(rows*cols, 9)
		at := 0
		for i, s := range packing(lengths...).Segments {
			at = s.Start * cols
			for j := range s.Len * cols {
				switch i {
				case 0:
					h[at+j] = 0
				case 1:
					h[at+j] = float64(j % cols)
				case 2:
					h[at+j] *= 1 << 40
				}
			}
		}
		v, g := r.output(1), r.output(rows*cols)
		r.be.PET(v, g, r.put(h), cols, pk, 0.5)
		r.keep("value", v)
		zeros := r.get(g)[:11*cols] // those of the first two: nothing varies
		for i, x := range zeros {
			if x != 0 {
				r.t.Errorf("gradient %d of states without variation is %g", i, x)
				break
			}
		}
		r.keep("g", g)
	}}
}

// adamExtremes has gradients of zero on fresh and on old moments, and a step so late that nothing is corrected any more.
func adamExtremes() Case {
	const n = 40
	return Case{Name: "extremes of adamw", run: func(r *rig) {
		for _, step := range []int{1, 1 << 30} {
			p, g, m, v := r.input(n, 1), r.random(n, 1e-12), r.random(n, 1), r.random(n, 1)
			for i := range n {
				v[i] *= v[i]
				if i%4 == 0 {
					g[i], m[i], v[i] = 0, 0, 0
				}
			}
			mb, vb := r.put(m), r.put(v)
			r.be.AdamW(backend.AdamWArgs{P: p, G: r.put(g), M: mb, V: vb, LR: 1e-3, Beta1: 0.9, Beta2: 0.999, Eps: 1e-8, Decay: 0.01, Step: step, GradScale: 1})
			r.keep(sized("p", step), p)
			r.keep(sized("m", step), mb)
			r.keep(sized("v", step), vb)
		}
	}}
}
