package ops_test

import (
	"maps"
	"math"
	"slices"
	"testing"

	driver "github.com/so8t/so8t/cuda"
	"github.com/so8t/so8t/cuda/cudatest"
	"github.com/so8t/so8t/stages/internal/backend"
	"github.com/so8t/so8t/stages/internal/backend/cpu"
	"github.com/so8t/so8t/stages/internal/backend/cuda"
)

// limitCard is limit32 with a card's own order of sums.
const limitCard = 1.5e-5

// openCard opens a GPU, or the kernels on the host that stand in for one; nil, and the reason in the log, where there is neither.
func openCard(t *testing.T, p cuda.Precision) backend.Backend {
	t.Helper()
	if err := cudatest.Use(t, "../../../cuda/testdata", driver.EnvDriver, driver.EnvBLAS); err != nil {
		t.Logf("not on a card: %v", err)
		return nil
	}
	be, err := cuda.Open(cuda.Options{Precision: p})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { be.Close() })
	return be
}

// everywhere is backends and a card, by what may differ.
func everywhere(t *testing.T) map[float64]backend.Backend {
	all := backends(t)
	if be := openCard(t, cuda.Single); be != nil {
		all[limitCard] = be
	}
	return all
}

// The whole graph on a card: loss and gradients are those of the float64 reference. bf16 and TF32 keep 8 and 11 bits of what they multiply,
// and a gradient passes a dozen products.
func TestCardAgreesWithTheReference(t *testing.T) {
	for p, limits := range map[cuda.Precision]struct{ loss, gradient float64 }{cuda.Single: {1e-5, 1e-4}, cuda.Mixed: {3e-3, 6e-2}} {
		be := openCard(t, p)
		if be == nil {
			t.Skip("no card")
		}
		for name, d := range variants() {
			b := newBatch(d.vocab, d.rank > 0, 5, 30, 2)
			ref := newModel(cpu.OpenReference(), d)
			want := ref.step(t, ref.be.NewScope(), b)
			m := newModel(be, d)
			if got := m.step(t, be.NewScope(), b); math.Abs(got-want) > limits.loss*want {
				t.Errorf("%s: loss %g, reference %g", name, got, want)
			}
			wg := ref.gradients(t)
			for p, g := range m.gradients(t) {
				var top, off float64
				for i, w := range wg[p] {
					top, off = max(top, math.Abs(w)), max(off, math.Abs(g[i]-w))
				}
				if off > limits.gradient*top {
					t.Errorf("%s: gradient of %s is off by %g of its largest, allowed %g", name, p, off/top, limits.gradient)
				}
			}
		}
	}
}

// On a card too: a step repeats to the bit, with and without checkpointing, takes no memory after the first, and copies a number back.
func TestCardRepeatsToTheBit(t *testing.T) {
	be := openCard(t, cuda.Mixed)
	if be == nil {
		t.Skip("no card")
	}
	d := variants()["dropout"]
	d.pet = 0.2
	b := newBatch(d.vocab, true, 40, 3, 9)
	plain := newModel(be, d)
	sc := be.NewScope()
	plain.step(t, sc, b)
	first := plain.gradients(t)
	d.checkpoint = true
	again := newModel(be, d)
	again.step(t, sc, b)
	if !maps.EqualFunc(first, again.gradients(t), slices.Equal) {
		t.Error("gradients differ with and without checkpointing")
	}
	before := be.Counters()
	for range 3 {
		plain.params.ZeroGrad()
		plain.step(t, sc, b)
	}
	after := be.Counters()
	if n, down := after.Allocations-before.Allocations, after.DownloadBytes-before.DownloadBytes; n != 0 || down != 3*4 {
		t.Errorf("3 steps took memory %d times and downloaded %d bytes, want one number a step", n, down)
	}
	if !maps.EqualFunc(first, plain.gradients(t), slices.Equal) {
		t.Error("gradients of the same step differ")
	}
}
