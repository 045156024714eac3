package backendtest

import "github.com/so8t/so8t/stages/internal/backend"

func gateCases() []Case {
	var cs []Case
	for _, s := range []struct {
		rows, blocks int
		size         float64
	}{{1, 1, 0.3}, {9, 3, 1e-3}, {70, 16, 0.5}, {5, 2, 30}, {4, 2, 0}} {
		cs = append(cs, gateCase(s.rows, s.blocks, s.size))
	}
	return cs
}

func gateCase(rows, blocks int, size float64) Case {
	cols := 8 * blocks
	both := func(r *rig, x, theta, gy backend.Buffer) (y, rot, gx, gtheta backend.Buffer) {
		rot, y, gx = r.output(64*blocks), r.output(rows*cols), r.output(rows*cols)
		gr := r.output(64 * blocks)
		gtheta = r.output(28 * blocks)
		r.be.Cayley(rot, theta, blocks)
		r.be.Rotate(y, x, rot, rows, blocks, false)
		r.be.Rotate(gx, gy, rot, rows, blocks, true)
		r.be.RotateGrad(gr, x, gy, rows, blocks)
		r.be.CayleyBack(gtheta, gr, theta, rot, blocks, 0)
		r.keep("gr", gr)
		r.be.CayleyBack(gtheta, gr, theta, rot, blocks, 0.5)
		r.keep("gtheta added", gtheta)
		r.be.CayleyBack(gtheta, gr, theta, rot, blocks, 0)
		return y, rot, gx, gtheta
	}
	c := Case{Name: sized("gate", rows, blocks, int(1000*size))}
	c.run = func(r *rig) {
		x, theta, gy := r.input(rows*cols, 1), r.input(28*blocks, size), r.input(rows*cols, 1)
		y, rot, gx, gtheta := both(r, x, theta, gy)
		r.keep("y", y)
		r.keep("r", rot)
		r.keep("gx", gx)
		r.keep("gtheta", gtheta)
		if size == 0 {
			compare(r.t, "identity", r.get(y), r.get(x), 0)
		}
	}
	var weights []float64
	c.grad = &gradient{
		inputs: func(r *rig) [][]float64 {
			weights = r.random(rows*cols, 1)
			return [][]float64{r.random(rows*cols, 1), r.random(28*blocks, size)}
		},
		value: func(r *rig, in [][]float64) float64 {
			rot, y := r.output(64*blocks), r.output(rows*cols)
			r.be.Cayley(rot, r.put(in[1]), blocks)
			r.be.Rotate(y, r.put(in[0]), rot, rows, blocks, false)
			return dotProduct(r.get(y), weights)
		},
		analytic: func(r *rig, in [][]float64) [][]float64 {
			_, _, gx, gt := both(r, r.put(in[0]), r.put(in[1]), r.put(weights))
			return [][]float64{r.get(gx), r.get(gt)}
		},
	}
	return c
}

func lossCases() []Case {
	cs := []Case{crossEntropyCase(1, 8, 5, 1), crossEntropyCase(9, 24, 33, 3), crossEntropyCase(40, 16, 1000, 2), crossEntropyCase(6, 8, 40, 1000)}
	return append(cs, petCase(8, 1, 2, 3, 40), petCase(130, 5), petCase(16, 2, 1))
}

// crossEntropyCase gives a target to every every-th row, except that 1000 means none.
func crossEntropyCase(rows, cols, vocab, every int) Case {
	targets := make([]int32, rows)
	for i := range targets {
		targets[i] = -1
		if every == 1000 {
			targets[i] = -100
		} else if i%every == every-1 {
			targets[i] = int32(i * 7 % vocab)
		}
	}
	loss := func(r *rig, h, w backend.Buffer, gh, gw backend.Buffer) float64 {
		l := r.output(1)
		nll := r.output(rows)
		r.be.CrossEntropy(backend.CrossEntropyArgs{Loss: l, NLL: nll, GH: gh, GW: gw, H: h, W: r.be.WeightOf(w, vocab, cols),
			Targets: r.scope.AllocInts(targets), Scale: 0.37})
		r.keep("nll", nll)
		r.keep("loss", l)
		return r.get(l)[0]
	}
	c := Case{Name: sized("cross-entropy", rows, cols, vocab, every)}
	c.run = func(r *rig) {
		h, w := r.input(rows*cols, 1), r.input(vocab*cols, 0.4)
		gh, gw := r.output(rows*cols), r.output(vocab*cols)
		loss(r, h, w, gh, gw)
		r.keep("gh", gh)
		r.keep("gw", gw)
		loss(r, h, w, nil, nil)
		loss(r, h, w, gh, nil)
		r.keep("gh alone", gh)
		r.be.CrossEntropy(backend.CrossEntropyArgs{Loss: r.output(1), GW: gw, GWBeta: 1, H: h, W: r.be.WeightOf(w, vocab, cols),
			Targets: r.scope.AllocInts(targets), Scale: 1})
		r.keep("gw added", gw)
	}
	c.grad = &gradient{
		inputs: func(r *rig) [][]float64 { return [][]float64{r.random(rows*cols, 1), r.random(vocab*cols, 0.4)} },
		value: func(r *rig, in [][]float64) float64 {
			return loss(r, r.put(in[0]), r.put(in[1]), nil, nil)
		},
		analytic: func(r *rig, in [][]float64) [][]float64 {
			gh, gw := r.output(rows*cols), r.output(vocab*cols)
			loss(r, r.put(in[0]), r.put(in[1]), gh, gw)
			return [][]float64{r.get(gh), r.get(gw)}
		},
	}
	return c
}

func petCase(cols int, lengths ...int) Case {
	rows := packing(lengths...).Rows
	return Case{Name: sized("pet", append([]int{cols}, lengths...)...), run: func(r *rig) {
		pk := pack(r, lengths...)
		h, g, v := r.input(rows*cols, 1), r.output(rows*cols), r.output(1)
		r.be.PET(v, g, h, cols, pk, 0.25)
		r.keep("value", v)
		r.keep("g", g)
		r.be.PET(v, nil, h, cols, pk, 0.25)
		r.keep("value alone", v)
	}}
}
