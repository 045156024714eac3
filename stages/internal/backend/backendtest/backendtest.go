// Package backendtest is the conformance suite of backends: every operation, on edge sizes and odd layouts, against a reference backend, and the
// properties that training relies on (gradients are derivatives, packed equals unpacked, the same bits every time).
package backendtest

import (
	"fmt"
	"hash/fnv"
	"math"
	"math/rand/v2"
	"slices"
	"testing"

	"github.com/so8t/so8t/stages/internal/backend"
)

// rig gives a case its numbers and collects what it computed.
type rig struct {
	t     testing.TB
	be    backend.Backend
	scope backend.Scope
	rng   *rand.Rand
	out   []result
}

type result struct {
	name string
	v    []float64
}

// rubbish fills outputs before an operation, so that one that reads or skips them is caught.
const rubbish = 1e30

func newRig(t testing.TB, be backend.Backend, name string) *rig {
	h := fnv.New64a()
	h.Write([]byte(name))
	return &rig{t: t, be: be, scope: be.NewScope(), rng: rand.New(rand.NewPCG(h.Sum64(), 1))}
}

// random makes n numbers around zero, exact in float32 so that all precisions start equal.
func (r *rig) random(n int, size float64) []float64 {
	v := make([]float64, n)
	for i := range v {
		v[i] = float64(float32(r.rng.NormFloat64() * size))
	}
	return v
}

func (r *rig) put(v []float64) backend.Buffer {
	b := r.scope.Alloc(len(v))
	r.be.Upload64(b, v)
	return b
}

func (r *rig) input(n int, size float64) backend.Buffer { return r.put(r.random(n, size)) }

func (r *rig) output(n int) backend.Buffer {
	b := r.scope.Alloc(n)
	r.be.Fill(b, rubbish)
	return b
}

func (r *rig) get(b backend.Buffer) []float64 {
	v := make([]float64, b.Len())
	r.be.Download64(v, b)
	return v
}

func (r *rig) keep(name string, b backend.Buffer) { r.out = append(r.out, result{name, r.get(b)}) }

// Case is one operation at one size.
type Case struct {
	Name string
	run  func(r *rig)
	// grad, when set, is the scalar function whose derivative the case's last results are.
	grad *gradient
}

// Reference is what a trusted backend computes, remembered for several conformance runs.
type Reference struct {
	be    backend.Backend
	known map[string][]result
}

// NewReference trusts be.
func NewReference(be backend.Backend) *Reference {
	return &Reference{be: be, known: map[string][]result{}}
}

func (ref *Reference) results(t testing.TB, c Case) []result {
	if out, ok := ref.known[c.Name]; ok {
		return out
	}
	r := newRig(t, ref.be, c.Name)
	c.run(r)
	r.scope.End()
	if err := ref.be.Err(); err != nil {
		t.Fatal(err)
	}
	ref.known[c.Name] = r.out
	return r.out
}

// Conform runs every case and compares. tolerance is relative to the largest number of the result.
func Conform(t *testing.T, open func(t testing.TB) backend.Backend, ref *Reference, tolerance float64) {
	be := open(t)
	for _, c := range Cases() {
		t.Run(c.Name, func(t *testing.T) {
			got := newRig(t, be, c.Name)
			c.run(got)
			if err := be.Err(); err != nil {
				t.Fatal(err)
			}
			for i, w := range ref.results(t, c) {
				compare(t, w.name, got.out[i].v, w.v, tolerance)
			}
			again := newRig(t, be, c.Name)
			c.run(again)
			for i, g := range got.out {
				if !slices.EqualFunc(g.v, again.out[i].v, sameBits) {
					t.Errorf("%s: other bits the second time", g.name)
				}
			}
			got.scope.End()
			again.scope.End()
		})
	}
}

// SameBits runs every case on two backends that must agree to the last bit, for example with other thread counts.
func SameBits(t *testing.T, a, b backend.Backend) {
	for _, c := range Cases() {
		x, y := newRig(t, a, c.Name), newRig(t, b, c.Name)
		c.run(x)
		c.run(y)
		for i := range x.out {
			if !slices.EqualFunc(x.out[i].v, y.out[i].v, sameBits) {
				t.Errorf("%s: %s differs between %+v and %+v", c.Name, x.out[i].name, a.Info(), b.Info())
			}
		}
	}
}

func sameBits(a, b float64) bool { return math.Float64bits(a) == math.Float64bits(b) }

func compare(t testing.TB, name string, got, want []float64, tolerance float64) {
	t.Helper()
	var top float64
	for _, w := range want {
		top = max(top, math.Abs(w))
	}
	limit := tolerance * max(top, 1e-30)
	for i, w := range want {
		if d := math.Abs(got[i] - w); !(d <= limit) {
			t.Errorf("%s[%d] = %g, want %g (off by %.2g of the largest, allowed %.2g)", name, i, got[i], w, d/max(top, 1e-30), tolerance)
			return
		}
	}
}

// Gradients checks the backward operations of a float64 backend by central differences of the forward ones.
func Gradients(t *testing.T, open func(t testing.TB) backend.Backend) {
	be := open(t)
	for _, c := range Cases() {
		if c.grad == nil {
			continue
		}
		t.Run(c.Name, func(t *testing.T) {
			r := newRig(t, be, c.Name)
			c.grad.check(r)
			if err := be.Err(); err != nil {
				t.Fatal(err)
			}
		})
	}
}

// gradient says how a case's derivative is checked: value computes sum(weight*output) for given inputs, analytic the gradient of
// each input for the same weights.
type gradient struct {
	inputs   func(r *rig) [][]float64
	value    func(r *rig, in [][]float64) float64
	analytic func(r *rig, in [][]float64) [][]float64
}

func (g *gradient) check(r *rig) {
	in := g.inputs(r)
	an := g.analytic(r, in)
	for i := range in {
		if an[i] == nil {
			continue
		}
		var top float64
		for _, v := range an[i] {
			top = max(top, math.Abs(v))
		}
		for range min(24, len(in[i])) {
			j := r.rng.IntN(len(in[i]))
			const h = 1e-5
			was := in[i][j]
			in[i][j] = was + h
			up := g.value(r, in)
			in[i][j] = was - h
			down := g.value(r, in)
			in[i][j] = was
			if fd := (up - down) / (2 * h); !(math.Abs(fd-an[i][j]) <= 1e-6*max(1, top)) {
				r.t.Errorf("input %d, element %d: gradient %g, differences give %g", i, j, an[i][j], fd)
			}
		}
	}
}

func dotProduct(a, b []float64) float64 {
	var s float64
	for i, v := range a {
		s += v * b[i]
	}
	return s
}

func sized(name string, sizes ...int) string { return fmt.Sprintf("%s %v", name, sizes) }
