package phi3

import (
	"fmt"
	"strings"
	"testing"

	"github.com/nlpodyssey/spago/ag"
	"github.com/nlpodyssey/spago/mat"

	"github.com/so8t/so8t/stages/internal/backend"
	"github.com/so8t/so8t/stages/internal/so8t"
	"github.com/so8t/so8t/stages/internal/tensor"
)

// learn runs one pass forward and backward and returns the two terms.
func learn(t *testing.T, be backend.Backend, m *Model, b Batch, p Pass) (ce, pet float64) {
	t.Helper()
	sc := be.NewScope()
	defer sc.End()
	ceNode, petNode, err := m.Losses(sc, b, p)
	if err != nil {
		t.Fatal(err)
	}
	roots := []mat.Tensor{ceNode}
	if petNode != nil {
		roots = append(roots, petNode)
	}
	if err := ag.Backward(roots...); err != nil {
		t.Fatal(err)
	}
	if petNode != nil {
		pet = petNode.Item().F64()
	}
	if be.Err() != nil {
		t.Fatal(be.Err())
	}
	return ceNode.Item().F64(), pet
}

func TestModel_BaseLossAndGradients(t *testing.T) {
	for _, mc := range machines {
		for _, c := range []struct{ model, prefix, file string }{
			{"tiny-phi3", "phi3.base.", "grad_phi3.safetensors"}, {"tiny-phi3-b", "b.base.", "grad_b.safetensors"},
		} {
			for _, recompute := range []bool{false, true} {
				t.Run(fmt.Sprintf("%s/%s/recompute=%v", mc.name, c.model, recompute), func(t *testing.T) {
					be := mc.open(t)
					f := openFixture(t, c.file)
					m, err := NewBaseModel(be, load(t, c.model, StoreF32), TrainOptions{MaxLen: 64, Recompute: recompute})
					if err != nil {
						t.Fatal(err)
					}
					defer m.Release()
					b := f.batchOf(c.prefix)
					ce, _ := learn(t, be, m, b, Pass{CEScale: 1 / float64(b.targets())})
					if d := far([]float64{ce}, f.f64(c.prefix+"loss")); d > mc.logits {
						t.Errorf("loss %v is off by %g", ce, d)
					}
					for _, p := range m.BaseParams() {
						compareBaseGrad(t, f, be, c.prefix, p, mc.grad)
					}
				})
			}
		}
	}
}

// compareBaseGrad compares one gradient with what the fixture has of it.
func compareBaseGrad(t *testing.T, f fixture, be backend.Backend, prefix string, p tensor.Param, limit float64) {
	t.Helper()
	got := read(be, p.GradBuffer())
	name := prefix + "grad." + p.Name
	if _, ok := f.set.Info(name); ok {
		want := f.f64(name)
		if d := far(got, want) / largest(want); d > limit {
			t.Errorf("gradient of %s is off by %g of its largest", p.Name, d)
		}
		return
	}
	if _, ok := f.set.Info(prefix + "grad_f32." + p.Name); ok {
		want := f.f64(prefix + "grad_f32." + p.Name)
		if d := far(got, want) / largest(want); d > max(limit, 1e-5) { // the fixture itself is f32
			t.Errorf("gradient of %s is off by %g of its largest", p.Name, d)
		}
		return
	}
	// The tied embedding: some rows, and for all rows a projection.
	rows, want := f.ints(prefix+"grad_rows.embed_tokens.rows"), f.f64(prefix+"grad_rows.embed_tokens.values_f64")
	cols := p.Tensor().Cols()
	for i, r := range rows {
		if d := far(got[int(r)*cols:][:cols], want[i*cols:][:cols]) / largest(want); d > limit {
			t.Errorf("gradient of embedding row %d is off by %g", r, d)
		}
	}
	vector, projected := f.f64(prefix+"grad_projection.vector"), f.f64(prefix+"grad_projection.model.embed_tokens.weight")
	sums := make([]float64, len(projected))
	for r := range sums {
		for c, v := range vector {
			sums[r] += got[r*cols+c] * v
		}
	}
	if d := far(sums, projected) / largest(projected); d > limit {
		t.Errorf("projected gradient of the embedding is off by %g", d)
	}
}

// loraFixture is the adapter that the fixtures were made with.
func loraFixture(t *testing.T) *so8t.Adapter {
	t.Helper()
	a, err := so8t.ReadAdapter("testdata/lora")
	if err != nil {
		t.Fatal(err)
	}
	return a
}

// gatesFixture reads model.CASE.layers.N.theta.
func gatesFixture(f fixture, name string) *so8t.Gates {
	g := &so8t.Gates{Hidden: 64}
	for l := range 3 {
		key := fmt.Sprintf("model.%s.layers.%d.theta", name, l)
		if _, ok := f.set.Info(key); ok {
			g.Layers = append(g.Layers, so8t.Gate{Layer: l, Theta: f.f32(key)})
		}
	}
	return g
}

func TestModel_LoRALossAndGradients(t *testing.T) {
	for _, mc := range machines {
		t.Run(mc.name, func(t *testing.T) {
			be := mc.open(t)
			f := openFixture(t, "grad_phi3.safetensors")
			m := adapterModel(t, be, loraFixture(t), "none")
			b := f.batchOf("phi3.lora.")
			ce, _ := learn(t, be, m, b, Pass{CEScale: 1 / float64(b.targets()), Train: true})
			if d := far([]float64{ce}, f.f64("phi3.lora.loss")); d > mc.logits {
				t.Errorf("loss %v is off by %g", ce, d)
			}
			// These gradients of the fixture are exact f32 numbers: it cannot be nearer than their rounding.
			compareLoRAGrads(t, f, be, m, "phi3.lora.grad.", max(mc.grad, 1e-7))
		})
	}
}

// adapterModel is tiny-phi3, frozen, with an adapter's values.
func adapterModel(t *testing.T, be backend.Backend, a *so8t.Adapter, gates string) *Model {
	t.Helper()
	m, err := NewAdapterModel(be, load(t, "tiny-phi3", StoreF32), TrainOptions{MaxLen: 64}, AdapterOptions{Gates: gates, From: a})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(m.Release)
	return m
}

func compareLoRAGrads(t *testing.T, f fixture, be backend.Backend, m *Model, prefix string, limit float64) {
	t.Helper()
	if len(m.LoRAParams()) != 24 {
		t.Fatalf("%d LoRA matrices", len(m.LoRAParams()))
	}
	for _, p := range m.LoRAParams() {
		key := prefix + strings.TrimPrefix(p.Name, "model.")
		if _, ok := f.set.Info(key); !ok {
			continue // some windows hold the first layer only
		}
		want := f.f64(key)
		if d := far(read(be, p.GradBuffer()), want) / largest(want); d > limit {
			t.Errorf("gradient of %s is off by %g of its largest", p.Name, d)
		}
	}
}

func TestModel_Gates(t *testing.T) {
	for _, mc := range machines {
		for name, layers := range map[string]string{"all_layers": "all", "middle_layers": "middle", "lora_and_gates": "all"} {
			t.Run(mc.name+"/"+name, func(t *testing.T) {
				be := mc.open(t)
				f := openFixture(t, "gated.safetensors")
				a := &so8t.Adapter{Gates: gatesFixture(f, name)}
				if name == "lora_and_gates" {
					a.LoRA = loraFixture(t).LoRA
				}
				m := adapterModel(t, be, a, layers)
				// theta is f64 in the fixture: on the reference it must not be rounded.
				for _, p := range m.GateParams() {
					key := strings.Replace(p.Name, "model.layers", "model."+name+".layers", 1)
					be.Upload64(p.Tensor().Buffer(), f.f64(strings.Replace(key, ".self_attn.o_proj.so8t", ".theta", 1)))
				}
				b := f.batchOf("model.")
				ce, _ := learn(t, be, m, b, Pass{CEScale: 1 / float64(b.targets())})
				if d := far([]float64{ce}, f.f64("model."+name+".loss")); d > mc.logits {
					t.Errorf("loss %v is off by %g", ce, d)
				}
				for _, p := range m.GateParams() {
					key := strings.Replace(p.Name, "model.layers", "model."+name+".layers", 1)
					want := f.f64(strings.Replace(key, ".self_attn.o_proj.so8t", ".dtheta", 1))
					if d := far(read(be, p.GradBuffer()), want) / largest(want); d > mc.grad {
						t.Errorf("gradient of %s is off by %g of its largest", p.Name, d)
					}
				}
				if a.LoRA != nil {
					compareLoRAGrads(t, f, be, m, "model.lora_and_gates.grad.", mc.grad)
				}
			})
		}
	}
}

// A fresh adapter changes nothing, bit for bit; a gate that is not zero does.
func TestModel_StartsAtTheBase(t *testing.T) {
	be := single(t)
	w := load(t, "tiny-phi3", StoreNative)
	f := openFixture(t, "grad_phi3.safetensors")
	b := f.batchOf("phi3.base.")
	p := Pass{CEScale: 1}
	base, err := NewBaseModel(be, w, TrainOptions{MaxLen: 64})
	if err != nil {
		t.Fatal(err)
	}
	want, _ := learn(t, be, base, b, p)
	m, err := NewAdapterModel(be, w, TrainOptions{MaxLen: 64, Seed: 1}, AdapterOptions{Rank: 4, Alpha: 8, Targets: Modules, Gates: "all"})
	if err != nil {
		t.Fatal(err)
	}
	got, _ := learn(t, be, m, b, p)
	if got != want {
		t.Errorf("fresh adapters move the loss from %v to %v", want, got)
	}
	gate := m.GateParams()[1]
	theta := make([]float32, gate.Tensor().Size())
	for i := range theta {
		theta[i] = 0.1
	}
	be.Upload(gate.Tensor().Buffer(), theta)
	if moved, _ := learn(t, be, m, b, p); moved == want {
		t.Error("a gate that is not zero moves nothing")
	}
}

// The same sequences in one batch or in two, in another order, with dropout: the same sums.
func TestModel_PackedEqualsSeparate(t *testing.T) {
	be := reference(t)
	o := AdapterOptions{Rank: 4, Alpha: 8, Targets: Modules, Gates: "all", Dropout: 0.3}
	m, err := NewAdapterModel(be, load(t, "tiny-phi3", StoreF32), TrainOptions{MaxLen: 100, Seed: 7}, o)
	if err != nil {
		t.Fatal(err)
	}
	a := loraFixture(t)
	a.Gates = nil
	for i, p := range m.LoRAParams() {
		if mod := a.LoRA.Modules[i/2]; i%2 == 1 {
			be.Upload(p.Tensor().Buffer(), mod.B[:p.Tensor().Size()]) // any B that is not zero
		}
	}
	long, short := sequence(80), sequence(13) // long takes the long rotary factors, short does not
	packed := join(long, short)
	p := Pass{CEScale: 0.1, PETScale: 0.01, Train: true, Step: 3}
	ce, pet := learn(t, be, m, packed, p)
	whole := grads(be, m)
	ce1, pet1 := learn(t, be, m, join(short), p)
	ce2, pet2 := learn(t, be, m, join(long), p)
	if far([]float64{ce, pet}, []float64{ce1 + ce2, pet1 + pet2}) > 1e-10 {
		t.Errorf("packed %v, %v; separate %v, %v", ce, pet, ce1+ce2, pet1+pet2)
	}
	parts := grads(be, m)
	if d := far(whole, parts); d > 1e-10 {
		t.Errorf("gradients differ by %g", d)
	}
	still := p
	still.Step = 4
	if other, _ := learn(t, be, m, packed, still); other == ce {
		t.Error("dropout does not depend on the step")
	}
	still.Train = false
	evaluated, _ := learn(t, be, m, packed, still)
	again, _ := learn(t, be, m, packed, Pass{CEScale: 0.1, PETScale: 0.01})
	if evaluated != again {
		t.Error("evaluation is not free of dropout")
	}
}

// Computing the layers again in the backward pass changes no bit, dropout included.
func TestModel_RecomputeIsBitEqual(t *testing.T) {
	be := single(t)
	w, b := load(t, "tiny-phi3", StoreInt8), join(sequence(70), sequence(31))
	var want []float64
	for _, recompute := range []bool{false, true} {
		m, err := NewAdapterModel(be, w, TrainOptions{MaxLen: 100, Seed: 7, Recompute: recompute},
			AdapterOptions{Rank: 4, Alpha: 8, Targets: Modules, Gates: "middle", Dropout: 0.3})
		if err != nil {
			t.Fatal(err)
		}
		for i, p := range m.LoRAParams() {
			if i%2 == 1 { // B is zero at the start: give A a gradient
				be.Fill(p.Tensor().Buffer(), 0.01)
			}
		}
		ce, pet := learn(t, be, m, b, Pass{CEScale: 0.1, PETScale: 0.01, Train: true, Step: 2})
		got := append(grads(be, m), ce, pet)
		if want == nil {
			want = got
		} else if d := far(got, want); d != 0 {
			t.Errorf("recomputing moves losses and gradients by up to %g", d)
		}
		m.Release()
	}
	if largest(want) == 0 {
		t.Error("all gradients are zero")
	}
}

type identified struct {
	ids []int32
	id  uint64
}

func sequence(n int) identified {
	s := identified{id: uint64(n)}
	for i := range n {
		s.ids = append(s.ids, int32((i*37+n)%4000))
	}
	return s
}

func join(list ...identified) (b Batch) {
	for _, s := range list {
		mask := make([]int32, len(s.ids))
		for i := range mask {
			mask[i] = int32(i % 2)
		}
		b.add(s.ids, mask)
		b.Packing.Segments[len(b.Packing.Segments)-1].ID = s.id
	}
	return b
}

// grads reads and forgets all gradients.
func grads(be backend.Backend, m *Model) (out []float64) {
	for _, ps := range []tensor.Params{m.LoRAParams(), m.GateParams()} {
		for _, p := range ps {
			out = append(out, read(be, p.GradBuffer())...)
		}
		ps.ZeroGrad()
	}
	return out
}
