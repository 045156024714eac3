package backendtest

import (
	"math"
	"slices"

	"github.com/so8t/so8t/stages/internal/backend"
)

// Cases is the whole suite.
func Cases() []Case {
	return slices.Concat(gemmCases(), linearCases(), elementCases(), blockCases(), attentionCases(), gateCases(), lossCases(), optimizerCases(), extremeCases())
}

func gemmCases() []Case {
	var cs []Case
	shapes := [][3]int{
		{1, 1, 1}, {1, 64, 128}, {2, 33, 7}, {3, 5, 0}, {6, 16, 8}, {14, 32, 300}, {15, 33, 17}, {13, 31, 257}, {29, 65, 64}, {64, 16, 128},
		{128, 8, 300}, {16, 128, 513}, {100, 100, 100}, {150, 96, 70}, {40, 1030, 20}, {5, 3, 1024}, {60, 70, 600}, {8, 300, 1025}, {7, 16, 1030}, {4, 900, 200},
	}
	for _, s := range shapes {
		for _, tr := range []struct {
			ta, tb      bool
			alpha, beta float64
		}{{false, false, 1, 0}, {false, true, 1, 0}, {true, false, 0.5, 1}, {true, true, -2, 0.25}, {false, true, 0.125, 1}} {
			m, n, k := s[0], s[1], s[2]
			ta, tb, alpha, beta := tr.ta, tr.tb, tr.alpha, tr.beta
			name := "gemm"
			if ta {
				name += " ta"
			}
			if tb {
				name += " tb"
			}
			cs = append(cs, Case{Name: sized(name, m, n, k, int(100*beta)), run: func(r *rig) {
				a, b := embedded(r, ta, m, k), embedded(r, tb, k, n)
				ldc := n + 3
				c := r.output(m*ldc + 1)
				if beta != 0 {
					c = r.input(m*ldc+1, 1)
				}
				r.be.Gemm(ta, tb, m, n, k, alpha, a, b, beta, backend.Mat{Buf: c, Off: 1, LD: ldc})
				if beta == 0 { // the gaps still hold rubbish: look at the rows only
					d := r.output(m * n)
					r.be.Copy2D(backend.Mat{Buf: d, LD: n}, backend.Mat{Buf: c, Off: 1, LD: ldc}, m, n)
					gaps := r.get(c)
					for i := range m {
						if !slices.Equal(gaps[1+i*ldc+n:1+i*ldc+n+2], gaps[:1]) && gaps[1+i*ldc+n] != gaps[0] {
							r.t.Errorf("row %d: the gap after it was written", i)
						}
					}
					c = d
				}
				r.keep("c", c)
			}})
		}
	}
	return cs
}

// embedded is a rows x cols operand (stored transposed when tr) inside a larger buffer.
func embedded(r *rig, tr bool, rows, cols int) backend.Mat {
	if tr {
		rows, cols = cols, rows
	}
	ld := cols + 2
	return backend.Mat{Buf: r.input(rows*ld+5, 1), Off: 5, LD: ld}
}

func linearCases() []Case {
	var cs []Case
	for _, s := range [][3]int{{1, 96, 64}, {3, 40, 24}, {65, 24, 40}, {7, 1100, 16}, {2, 13, 37}} {
		for _, kind := range []backend.Kind{backend.Float32, backend.BFloat16, backend.Int8, backend.NF4, backend.Blocks} {
			rows, out, in := s[0], s[1], s[2]
			cs = append(cs, Case{Name: sized("linear "+kind.String(), rows, out, in), run: func(r *rig) {
				w := r.be.NewWeight(weightData(r, kind, out, in))
				x, gy := r.input(rows*in, 1), r.input(rows*out, 1)
				y, gx := r.output(rows*out), r.output(rows*in)
				r.be.Linear(y, x, w, rows, 0)
				r.be.LinearBack(gx, gy, w, rows, 0)
				r.keep("y", y)
				r.keep("gx", gx)
				r.be.Linear(y, x, r.be.WeightRows(w, 0, out), rows, 1)
				r.be.LinearBack(gx, gy, w, rows, -1)
				r.keep("y twice", y)
				part := r.be.WeightRows(w, 5, out-3)
				yp := r.output(rows * (out - 8))
				r.be.Linear(yp, x, part, rows, 0)
				r.keep("rows", yp)
				ids := r.scope.AllocInts([]int32{0, int32(out - 1), 3, 3})
				e := r.output(4 * in)
				r.be.Embed(e, w, ids)
				r.keep("embedded", e)
			}})
		}
	}
	return cs
}

func weightData(r *rig, kind backend.Kind, rows, cols int) backend.WeightData {
	d := backend.WeightData{Kind: kind, Rows: rows, Cols: cols}
	switch kind {
	case backend.Float32:
		for _, v := range r.random(rows*cols, 0.3) {
			d.F32 = append(d.F32, float32(v))
		}
	case backend.BFloat16:
		for range rows * cols {
			d.BF16 = append(d.BF16, uint16(0x3c00+r.rng.IntN(0x400)|r.rng.IntN(2)<<15))
		}
	case backend.Int8:
		for range rows * cols {
			d.Int8 = append(d.Int8, int8(r.rng.IntN(255)-127))
		}
		for range rows {
			d.Scales = append(d.Scales, float32(r.rng.Float64()*0.02))
		}
		d.Scales[0] = 0
	case backend.NF4:
		for range (rows*cols + 1) / 2 {
			d.NF4 = append(d.NF4, uint8(r.rng.IntN(256)))
		}
		scales := make([]float32, backend.NF4Blocks(rows*cols))
		for i := range scales {
			scales[i] = float32(r.rng.Float64() * 2)
		}
		d.NF4Scales = backend.NewNF4Scales(scales)
	case backend.Blocks:
		d.Format = backend.BlockFormat{Name: "F16", Elements: 1, Bytes: 2, Decode: decodeHalves}
		for range rows * cols {
			h := 0x3000 + r.rng.IntN(0x800) | r.rng.IntN(2)<<15
			if r.rng.IntN(16) == 0 {
				h = r.rng.IntN(0x400) // without a leading bit
			}
			d.Raw = append(d.Raw, byte(h), byte(h>>8))
		}
	}
	return d
}

// decodeHalves reads finite float16 numbers.
func decodeHalves(dst []float32, src []byte) {
	for i := range dst {
		h := int(src[2*i]) | int(src[2*i+1])<<8
		exponent, mantissa := h>>10&31, h&0x3ff
		v := math.Ldexp(float64(mantissa), -24)
		if exponent > 0 {
			v = math.Ldexp(float64(0x400+mantissa), exponent-25)
		}
		if h>>15 == 1 {
			v = -v
		}
		dst[i] = float32(v)
	}
}

func elementCases() []Case {
	var cs []Case
	for _, n := range []int{1, 7, 64, 1000, 10007} {
		cs = append(cs, Case{Name: sized("sums", n), run: func(r *rig) {
			x, y, s := r.input(n, 1), r.input(n, 1), r.put([]float64{-1.5})
			a, b, c := r.output(n), r.output(n), r.output(n)
			r.be.Axpby(a, 2, x, 0, nil)
			r.be.Axpby(b, 2, x, -0.5, y)
			r.be.Axpby(y, 1, x, 1, y)
			r.be.ScaleBy(c, x, s, 0)
			for i, v := range []backend.Buffer{a, b, y, c} {
				r.keep(sized("sum", i), v)
			}
			r.be.ScaleBy(c, x, s, 1)
			r.keep("scaled", c)
			acc := r.put([]float64{3})
			r.be.SumSquares(acc, x)
			r.keep("squares", acc)
		}})
	}
	cs = append(cs, Case{Name: "embedding gradient", run: func(r *rig) {
		ge := r.input(6*40, 1)
		r.be.EmbedBack(ge, r.input(9*40, 1), r.scope.AllocInts([]int32{5, 0, 1, 1, 5, 5, 2, 0, 3}), 40)
		r.keep("ge", ge)
	}})
	cs = append(cs, Case{Name: "dropout", run: func(r *rig) {
		pk := pack(r, 3, 4, 0, 20)
		x := r.input(pk.Rows()*50, 1)
		d, e := r.output(x.Len()), r.input(x.Len(), 1)
		r.be.Dropout(d, x, 50, pk, 77, 0.25, 0)
		r.be.Dropout(e, x, 50, pk, 77, 0.25, 1)
		r.keep("d", d)
		r.keep("e", e)
	}})
	return cs
}

// pack makes segments of the given lengths, with one row of padding before the third and two at the end.
func pack(r *rig, lengths ...int) backend.Packing {
	d := packing(lengths...)
	return r.be.Pack(d)
}

func packing(lengths ...int) backend.PackingData {
	var d backend.PackingData
	for i, n := range lengths {
		if i == 2 {
			d.Rows++
		}
		d.Segments = append(d.Segments, backend.Segment{Start: d.Rows, Len: n, ID: uint64(100 + i)})
		d.Rows += n
	}
	d.Rows += 2
	return d
}

func optimizerCases() []Case {
	var cs []Case
	for _, n := range []int{1, 33, 5000} {
		cs = append(cs, Case{Name: sized("adamw", n), run: func(r *rig) {
			a := backend.AdamWArgs{P: r.input(n, 1), M: r.put(make([]float64, n)), V: r.put(make([]float64, n)),
				LR: 1e-2, Beta1: 0.9, Beta2: 0.999, Eps: 1e-8, Decay: 0.1, GradScale: 0.5}
			for a.Step = 1; a.Step <= 3; a.Step++ {
				a.G = r.input(n, 1)
				r.be.AdamW(a)
			}
			r.keep("p", a.P)
			r.keep("m", a.M)
			r.keep("v", a.V)
		}})
	}
	return cs
}
