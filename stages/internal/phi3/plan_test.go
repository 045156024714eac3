package phi3

import (
	"fmt"
	"slices"
	"testing"

	"github.com/so8t/so8t/stages/internal/backend"
	"github.com/so8t/so8t/stages/internal/backend/cpu"
	"github.com/so8t/so8t/stages/internal/so8t"
	"github.com/so8t/so8t/stages/internal/tensor"
)

// Phi-4-mini with LoRA r=64 on all projections and gates on all layers; the counts are
// those published for it.
func TestPlanTraining_Phi4Mini(t *testing.T) {
	c := phi4miniConfig(t)
	o := AdapterOptions{Rank: 64, Alpha: 128, Targets: Modules, Gates: "all", Dropout: 0.05}
	lora, gates := c.TrainedParameters(o)
	if lora != 92_274_688 || gates != 344_064 {
		t.Errorf("%d LoRA and %d gate parameters; expected 92,274,688 and 344,064", lora, gates)
	}
	if n := c.FileBytes(2); n != 7_672_043_520 {
		t.Errorf("a bf16 file has %d bytes", n)
	}
	p := planned(t, c, StoreInt8, o, []int{512, 512}, true)
	const gib = 1 << 30
	// int8 linears 3.00 GiB + bf16 embedding 1.145 GiB; f32 LoRA with gradients and Adam 1.375 GiB.
	if w := float64(p.Weights) / gib; w < 4.13 || w > 4.16 {
		t.Errorf("weights take %.3f GiB", w)
	}
	if a := float64(p.Trained+p.Gradients+p.Optimizer) / gib; a < 1.37 || a > 1.39 {
		t.Errorf("adapters take %.3f GiB", a)
	}
	t.Logf("activations %.2f GiB, buffers and weights %.2f GiB, all %.2f GiB", float64(p.Activations)/gib, float64(p.Weights+p.Buffers())/gib, float64(p.Total())/gib)
	if total := float64(p.Weights+p.Buffers()) / gib; total < 6 || total > 8 {
		t.Errorf("in all %.2f GiB; expected to fit a card of 12", total)
	}
	full := planned(t, c, StoreNative, o, []int{512, 512}, false)
	if full.Activations < 5*p.Activations {
		t.Errorf("recomputing saves too little: %d to %d", full.Activations, p.Activations)
	}
	if g, err := PlanGuide(cpu.OpenDry()); err != nil || g != p {
		t.Errorf("the guide's plan is %+v, %v; want %+v", g, err, p)
	}
	if q := planned(t, c, StoreNF4, o, []int{512, 512}, true); q.Weights > p.Weights*2/3 {
		t.Errorf("nf4 takes %d bytes, int8 %d", q.Weights, p.Weights)
	}
	if n := c.KVCacheBytes(4096); n != gib {
		t.Errorf("the f32 cache of 4096 tokens has %d bytes", n)
	}
}

func planned(t *testing.T, c *Config, store Storage, o AdapterOptions, rows []int, recompute bool) MemoryPlan {
	t.Helper()
	p, err := c.PlanTraining(cpu.OpenDry(), store, c.NativeBytes(), o, rows, recompute)
	if err != nil {
		t.Fatal(err)
	}
	return p
}

// quickstartConfig is the model of the quickstart.
func quickstartConfig() *Config {
	return &Config{Hidden: 128, Layers: 4, Heads: 4, KVHeads: 2, HeadDim: 32, Intermediate: 256, Vocab: 768,
		MaxPositions: 1024, OriginalMaxPositions: 1024, RMSEps: 1e-5, RopeTheta: 10000, PartialRotary: 0.75, TiedEmbeddings: true,
		InitRange: 0.02, BOS: -1, Pad: -1, EOS: []int{0}}
}

// The plan is what the backend really holds, within 10 %, on two sizes of model, in every
// storage, with and without recomputing, training adapters or all weights.
func TestPlan_HoldsWhatTheBackendTakes(t *testing.T) {
	small := load(t, "tiny-phi3", StoreF32)
	large, err := NewWeights(quickstartConfig(), 1)
	if err != nil {
		t.Fatal(err)
	}
	rows := []int{60, 61, 62, 63}
	for name, w := range map[string]*Weights{"small": small, "large": large} {
		for _, store := range Storages {
			for _, recompute := range []bool{false, true} {
				stored, err := Load(w.Config, hostSource(tensorsOf(t, w)), store)
				if err != nil {
					t.Fatal(err)
				}
				o := AdapterOptions{Rank: 8, Alpha: 16, Targets: Modules, Gates: "all", Dropout: 0.1}
				be := single(t)
				m, err := NewAdapterModel(be, stored, TrainOptions{MaxLen: 63, Recompute: recompute}, o)
				if err != nil {
					t.Fatal(err)
				}
				c := *w.Config
				c.DType = "float32"
				comparePlan(t, fmt.Sprintf("%s, %s, recompute %v", name, store, recompute), be, m, append(m.LoRAParams(), m.GateParams()...), planned(t, &c, store, o, rows, recompute), rows)
				m.Release()
			}
		}
		be := single(t)
		m, err := NewBaseModel(be, w, TrainOptions{MaxLen: 63})
		if err != nil {
			t.Fatal(err)
		}
		p, err := w.Config.PlanPretraining(cpu.OpenDry(), rows)
		if err != nil {
			t.Fatal(err)
		}
		comparePlan(t, name+", all weights", be, m, m.BaseParams(), p, rows)
		m.Release()
	}
}

func tensorsOf(t *testing.T, w *Weights) map[string][]float32 {
	t.Helper()
	out := map[string][]float32{embedName: w.Embed.F32, normName: w.Norm}
	for i := range w.Layers {
		l := &w.Layers[i]
		out[inputNormName(i)], out[postNormName(i)] = l.InputNorm, l.PostNorm
		for _, module := range Modules {
			out[moduleName(i, module)] = l.Module(module).F32
		}
	}
	return out
}

// comparePlan trains three steps, the optimiser's memory included.
func comparePlan(t *testing.T, what string, be backend.Backend, m *Model, trained tensor.Params, p MemoryPlan, rows []int) {
	t.Helper()
	for _, q := range trained {
		be.NewBuffer(q.Tensor().Size())
		be.NewBuffer(q.Tensor().Size())
	}
	var b Batch
	for _, n := range rows {
		b.add(sequence(n).ids, slices.Repeat([]int32{1}, n))
	}
	for i := range b.Tokens {
		b.Tokens[i] %= int32(m.Config.Vocab)
		b.Targets[i] = min(b.Targets[i], int32(m.Config.Vocab-1))
	}
	for range 3 {
		learn(t, be, m, b, Pass{CEScale: 1, PETScale: 1, Train: true})
	}
	peak := be.Counters().PeakBytes
	if ratio := float64(peak) / float64(p.Buffers()); ratio < 0.9 || ratio > 1.1 {
		t.Errorf("%s: planned %d bytes, held %d (%.2f)", what, p.Buffers(), peak, ratio)
	}
}

func TestTrainedParameters_NoTargets(t *testing.T) {
	lora, gates := phi4miniConfig(t).TrainedParameters(AdapterOptions{Gates: "middle"})
	if lora != 0 || gates != 16*384*so8t.Params {
		t.Errorf("%d and %d", lora, gates)
	}
}

func TestPlanScoring_HoldsWhatTheBackendTakes(t *testing.T) {
	w := load(t, "tiny-phi3", StoreF32)
	be := single(t)
	base, err := NewBase(be, w, 64)
	if err != nil {
		t.Fatal(err)
	}
	defer base.Release()
	r, err := NewRunner(base, nil)
	if err != nil {
		t.Fatal(err)
	}
	defer r.Release()
	questions := make([]Question, 100) // several passes
	for i := range questions {
		questions[i] = Question{Prompt: sequence(60).ids, Continuations: [][]int32{{1, 2}, {3, 4}}}
	}
	if _, err := r.Score(questions, nil); err != nil {
		t.Fatal(err)
	}
	p, err := w.Config.PlanScoring(cpu.OpenDry(), backend.Float32, 0)
	if err != nil {
		t.Fatal(err)
	}
	plan, peak := p.Buffers(), be.Counters().PeakBytes // weights are aliased
	if ratio := float64(peak) / float64(plan); ratio < 0.8 || ratio > 1.2 {
		t.Errorf("planned %d bytes, held %d (%.2f)", plan, peak, ratio)
	}
}

// The loss takes its logits in chunks: a vocabulary 25 times as large takes no more than one
// chunk more, for thousands of tokens.
func TestPlan_LogitsAreChunked(t *testing.T) {
	o := AdapterOptions{Rank: 8, Alpha: 16, Targets: Modules}
	c := quickstartConfig()
	c.Vocab = 8000
	small := planned(t, c, StoreF32, o, []int{1024, 1024, 1024}, false)
	c.Vocab = 200_064
	large := planned(t, c, StoreF32, o, []int{1024, 1024, 1024}, false)
	const chunk = 128 * 200_064 * 4 // rows, tokens, bytes
	if grown := large.Activations - small.Activations; grown > chunk*9/8 {
		t.Errorf("%d bytes more, a chunk of logits has %d", grown, chunk)
	}
}
