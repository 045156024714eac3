package ops_test

import (
	"maps"
	"math"
	"slices"
	"testing"

	"github.com/so8t/so8t/stages/internal/backend"
	"github.com/so8t/so8t/stages/internal/backend/cpu"
)

func variants() map[string]dims {
	lora, drop, check := tiny, tiny, tiny
	lora.rank, lora.pet = 3, 0.2
	drop.rank, drop.dropout = 3, 0.3
	check.rank, check.checkpoint, check.pet = 3, true, 0.2
	return map[string]dims{"all weights": tiny, "lora and gates": lora, "dropout": drop, "checkpointing": check}
}

func TestGradientsOfTheWholeGraph(t *testing.T) {
	for name, d := range variants() {
		t.Run(name, func(t *testing.T) {
			d.pet = 0 // its gradient is not its derivative: the mean square counts as a constant
			be := cpu.OpenReference()
			m := newModel(be, d)
			b := newBatch(d.vocab, d.rank > 0, 5, 3, 9)
			sc := be.NewScope()
			m.step(t, sc, b)
			for _, p := range m.params {
				g := make([]float64, p.Tensor().Size())
				be.Download64(g, p.GradBuffer())
				v := make([]float64, len(g))
				be.Download64(v, p.Tensor().Buffer())
				for j := 0; j < len(v); j += 1 + len(v)/5 {
					at := func(x float64) float64 {
						was := v[j]
						v[j] = x
						be.Upload64(p.Tensor().Buffer(), v)
						v[j] = was
						l := m.loss(sc, b).Item().F64()
						be.Upload64(p.Tensor().Buffer(), v)
						sc.End()
						return l
					}
					const h = 1e-5
					if fd := (at(v[j]+h) - at(v[j]-h)) / (2 * h); math.Abs(fd-g[j]) > 1e-8 {
						t.Errorf("%s[%d]: gradient %g, differences give %g", p.Name, j, g[j], fd)
					}
				}
			}
			if err := be.Err(); err != nil {
				t.Fatal(err)
			}
		})
	}
}

func TestFloat32AgreesWithTheReference(t *testing.T) {
	for name, d := range variants() {
		for _, o := range []cpu.Options{{BLAS: "none"}, {BLAS: "none", Kernels: "go"}} {
			b := newBatch(d.vocab, d.rank > 0, 5, 30, 2)
			ref := newModel(cpu.OpenReference(), d)
			want := ref.step(t, ref.be.NewScope(), b)
			m := newModel(openCPU(t, o), d)
			if got := m.step(t, m.be.NewScope(), b); math.Abs(got-want) > 1e-5*want {
				t.Errorf("%s: loss %g, reference %g", name, got, want)
			}
			wg := ref.gradients(t)
			for p, g := range m.gradients(t) {
				var top, off float64
				for i, w := range wg[p] {
					top, off = max(top, math.Abs(w)), max(off, math.Abs(g[i]-w))
				}
				if off > 1e-4*top {
					t.Errorf("%s: gradient of %s is off by %g of its largest", name, p, off/top)
				}
			}
		}
	}
}

func TestCheckpointingChangesNoBit(t *testing.T) {
	d := variants()["lora and gates"]
	be := openCPU(t, cpu.Options{BLAS: "none"})
	b := newBatch(d.vocab, true, 40, 3, 9)
	plain := newModel(be, d)
	plain.step(t, be.NewScope(), b)
	d.checkpoint = true
	check := newModel(be, d)
	check.step(t, be.NewScope(), b)
	if !maps.EqualFunc(plain.gradients(t), check.gradients(t), slices.Equal) {
		t.Error("gradients differ with and without checkpointing")
	}
}

func TestStepsRepeatToTheBitAndAllocateNothing(t *testing.T) {
	d := variants()["dropout"]
	d.pet = 0.2
	be := openCPU(t, cpu.Options{BLAS: "none", Threads: 2})
	m := newModel(be, d)
	b := newBatch(d.vocab, true, 40, 3, 9)
	sc := be.NewScope()
	m.step(t, sc, b)
	first := m.gradients(t)
	m.params.ZeroGrad()
	m.step(t, sc, b)
	before := be.Counters()
	for range 20 {
		m.params.ZeroGrad()
		m.step(t, sc, b)
	}
	after := be.Counters()
	if n := after.Allocations - before.Allocations; n > 2 { // backward goroutines may overlap a little differently
		t.Errorf("%d allocations in 20 steps after warming up", n)
	}
	if up, down := after.Uploads-before.Uploads, after.DownloadBytes-before.DownloadBytes; up != 40 || down != 160 {
		t.Errorf("20 steps made %d uploads and downloaded %d bytes, want ids and targets up and one number down", up, down)
	}
	if !maps.EqualFunc(first, m.gradients(t), slices.Equal) {
		t.Error("gradients of the same step differ")
	}
}

// The sums of a window's micro-batches must not depend on how it is cut: scales come from outside.
func TestPackedEqualsSeparate(t *testing.T) {
	d := variants()["dropout"]
	d.pet = 0.2
	whole := newModel(cpu.OpenReference(), d)
	b := newBatch(d.vocab, true, 6, 11, 4)
	sc := whole.be.NewScope()
	total := whole.step(t, sc, b)
	parts := newModel(cpu.OpenReference(), d)
	var sum float64
	for _, s := range b.pack.Segments {
		one := batch{ids: b.ids[s.Start : s.Start+s.Len], targets: b.targets[s.Start : s.Start+s.Len]}
		one.pack = backend.PackingData{Rows: s.Len, Segments: []backend.Segment{{Len: s.Len, ID: s.ID}}}
		// The scales are counted in one batch here: turn them into those of the window.
		p := *parts
		p.pet *= float64(max(0, s.Len-2)) / float64(b.pack.Triples())
		sum += p.stepScaled(t, one, len(b.ids))
	}
	if math.Abs(sum-total) > 1e-12 {
		t.Errorf("separate %g, packed %g", sum, total)
	}
	want := whole.gradients(t)
	for name, g := range parts.gradients(t) {
		for i := range g {
			if math.Abs(g[i]-want[name][i]) > 1e-12 {
				t.Fatalf("gradient of %s[%d]: separate %g, packed %g", name, i, g[i], want[name][i])
			}
		}
	}
}

func TestFailureIsLatchedAndTheGraphFinishes(t *testing.T) {
	be := openCPU(t, cpu.Options{BLAS: "none"})
	m := newModel(be, tiny)
	b := newBatch(tiny.vocab, false, 5)
	b.ids[2] = 1000 // outside the vocabulary
	sc := be.NewScope()
	l := m.loss(sc, b)
	done := make(chan struct{})
	go func() { defer close(done); backward(l) }()
	<-done
	if be.Err() == nil {
		t.Error("no error after an id outside the vocabulary")
	}
}
