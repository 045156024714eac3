package phi3

import (
	"encoding/json"
	"fmt"
	"math"
	"os"
	"strings"
	"testing"

	"github.com/so8t/so8t/stages/internal/backend"
	"github.com/so8t/so8t/stages/internal/so8t"
	"github.com/so8t/so8t/stages/internal/tensor"
)

// reference training: 30 steps of LoRA and gates on tiny-phi3.
type trainFile struct {
	Steps []trainStep                  `json:"f64"`
	Clip  float64                      `json:"clip_grad_norm"`
	Decay struct{ LoRA, Gate float64 } `json:"weight_decay"`

	ClipMid     []trainStep `json:"clipmid"`
	ClipMidNorm float64     `json:"clipmid_grad_norm"`
}

type trainStep struct {
	Sequences []int
	LR        float64
	Lambda    float64 `json:"pet_lambda"`
	Targets   int
	Triples   int
	CE, PET   float64
	GradNorm  float64 `json:"grad_norm"`
}

func readTrain(t *testing.T) (f trainFile) {
	t.Helper()
	text, err := os.ReadFile("testdata/train.json")
	if err == nil {
		err = json.Unmarshal(text, &f)
	}
	if err != nil || len(f.Steps) != 30 {
		t.Fatalf("%d steps, %v", len(f.Steps), err)
	}
	return f
}

// plainAdamW is PyTorch's AdamW with clipping, over the backend's kernel.
type plainAdamW struct {
	be    backend.Backend
	m     *Model
	m1    map[string]backend.Buffer
	m2    map[string]backend.Buffer
	decay float64
}

func newPlainAdamW(be backend.Backend, m *Model, decay float64) *plainAdamW {
	o := &plainAdamW{be, m, map[string]backend.Buffer{}, map[string]backend.Buffer{}, decay}
	for _, ps := range []tensor.Params{m.LoRAParams(), m.GateParams()} {
		for _, p := range ps {
			o.m1[p.Name], o.m2[p.Name] = be.NewBuffer(p.Tensor().Size()), be.NewBuffer(p.Tensor().Size())
		}
	}
	return o
}

// step returns the gradient norm before clipping.
func (o *plainAdamW) step(number int, lr, clip float64) float64 {
	square := o.be.NewBuffer(1)
	defer o.be.Release(square)
	for _, ps := range []tensor.Params{o.m.LoRAParams(), o.m.GateParams()} {
		for _, p := range ps {
			o.be.SumSquares(square, p.GradBuffer())
		}
	}
	norm := math.Sqrt(read(o.be, square)[0])
	for i, ps := range []tensor.Params{o.m.LoRAParams(), o.m.GateParams()} {
		for _, p := range ps {
			o.be.AdamW(backend.AdamWArgs{P: p.Tensor().Buffer(), G: p.GradBuffer(), M: o.m1[p.Name], V: o.m2[p.Name], LR: lr,
				Beta1: 0.9, Beta2: 0.999, Eps: 1e-8, Decay: []float64{o.decay, 0}[i], Step: number, GradScale: min(1, clip/(norm+1e-6))})
		}
		ps.ZeroGrad()
	}
	return norm
}

// window packs sequences of the pool.
func (f fixture) window(sequences []int) (b Batch) {
	_, T := f.shape("pool.ids")
	ids, mask, lengths := f.ints("pool.ids"), f.ints("pool.loss_mask"), f.ints("pool.lengths")
	for _, s := range sequences {
		n := int(lengths[s])
		b.add(ids[s*T:][:n], mask[s*T:][:n])
	}
	return b
}

func startModel(t *testing.T, f fixture, be backend.Backend, prefix string) *Model {
	t.Helper()
	a := loraFixture(t)
	a.Gates = &so8t.Gates{Hidden: 64}
	for i := range a.LoRA.Modules {
		mod := &a.LoRA.Modules[i]
		key := prefix + strings.TrimPrefix(mod.Path, "model.")
		mod.A, mod.B = f.f32(key+".lora_A"), f.f32(key+".lora_B")
	}
	for l := range 3 {
		a.Gates.Layers = append(a.Gates.Layers, so8t.Gate{Layer: l, Theta: f.f32(fmt.Sprintf("%slayers.%d.theta", prefix, l))})
	}
	return adapterModel(t, be, a, "all")
}

// fixtureKey is a parameter's name in train.safetensors.
func fixtureKey(prefix string, p tensor.Param) string {
	return prefix + strings.Replace(strings.TrimPrefix(p.Name, "model."), ".self_attn.o_proj.so8t", ".theta", 1)
}

func TestModel_ThirtyTrainingSteps(t *testing.T) {
	file, f := readTrain(t), openFixture(t, "train.safetensors")
	for _, mc := range []struct {
		name        string
		open        func(*testing.T) backend.Backend
		ce, end     float64 // limits: CE of a step, a final parameter
		steps, clip int
	}{
		{"reference", reference, 1e-9, 1e-9, 30, 0}, {"reference, clipped now and then", reference, 1e-9, 1e-9, 12, 1}, {"cpu", single, 1e-3, 1e-3, 30, 0},
	} {
		t.Run(mc.name, func(t *testing.T) {
			be := mc.open(t)
			m := startModel(t, f, be, "train.start.")
			steps, clip, final := file.Steps, file.Clip, "train.after30_f64."
			if mc.clip == 1 {
				steps, clip, final = file.ClipMid, file.ClipMidNorm, "train.after12_clipmid."
			}
			opt := newPlainAdamW(be, m, file.Decay.LoRA)
			for i, want := range steps[:mc.steps] {
				ce, pet := 0.0, 0.0
				for half := range 2 {
					b := f.window(want.Sequences[2*half:][:2])
					c, p := learn(t, be, m, b, Pass{CEScale: 1 / float64(want.Targets), PETScale: want.Lambda / float64(want.Triples)})
					ce, pet = ce+c, pet+p/want.Lambda
				}
				norm := opt.step(i+1, want.LR, clip)
				if math.Abs(ce-want.CE) > mc.ce || math.Abs(pet-want.PET) > mc.ce || math.Abs(norm/want.GradNorm-1) > mc.ce {
					t.Fatalf("step %d: CE %v, PET %v, norm %v; expected %v, %v, %v", i, ce, pet, norm, want.CE, want.PET, want.GradNorm)
				}
			}
			for _, ps := range []tensor.Params{m.LoRAParams(), m.GateParams()} {
				for _, p := range ps {
					key := fixtureKey(final, p)
					if _, ok := f.set.Info(key); !ok {
						continue // clipmid holds the first layer only
					}
					if d := far(read(be, p.Tensor().Buffer()), f.f64(key)); d > mc.end {
						t.Errorf("%s ends %g away", p.Name, d)
					}
				}
			}
		})
	}
}

// The gradient of a window does not depend on how it is cut into micro-batches.
func TestModel_AccumulationWindow(t *testing.T) {
	f := openFixture(t, "train.safetensors")
	be := reference(t)
	m := startModel(t, f, be, "window.param.")
	all := make([]int, 16)
	for i := range all {
		all[i] = i
	}
	whole := f.window(all)
	p := Pass{CEScale: 1 / float64(whole.targets()), PETScale: 0.1 / float64(whole.Packing.Triples())}
	for _, size := range []int{16, 2, 5} {
		for lo := 0; lo < 16; lo += size {
			learn(t, be, m, f.window(all[lo:min(lo+size, 16)]), p)
		}
		for _, ps := range []tensor.Params{m.LoRAParams(), m.GateParams()} {
			for _, q := range ps {
				want := f.f64(fixtureKey("window.grad.", q))
				if d := far(read(be, q.GradBuffer()), want) / largest(want); d > 1e-9 {
					t.Errorf("in micro-batches of %d, gradient of %s is off by %g", size, q.Name, d)
				}
			}
			ps.ZeroGrad()
		}
	}
}

// A pass that only measures has the loss of one that learns, bit for bit, and no gradient of the head.
func TestModel_Measures(t *testing.T) {
	be := single(t)
	m, err := NewAdapterModel(be, load(t, "tiny-phi3", StoreF32), TrainOptions{MaxLen: 64, Seed: 1},
		AdapterOptions{Rank: 4, Alpha: 8, Targets: Modules, Gates: "all"})
	if err != nil {
		t.Fatal(err)
	}
	defer m.Release()
	b := openFixture(t, "grad_phi3.safetensors").batchOf("phi3.base.")
	want, _ := learn(t, be, m, b, Pass{CEScale: 0.1})
	sc := be.NewScope()
	defer sc.End()
	ce, _, err := m.Losses(sc, b, Pass{CEScale: 0.1, Measure: true})
	if err != nil {
		t.Fatal(err)
	}
	if got := ce.Item().F64(); got != want || ce.RequiresGrad() {
		t.Errorf("measures %v, learns from %v; gradients: %v", got, want, ce.RequiresGrad())
	}
}
