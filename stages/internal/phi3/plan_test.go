package phi3

import (
	"testing"

	"github.com/so8t/so8t/stages/internal/so8t"
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
	p := c.PlanTraining(StoreInt8, 2, o, 1024, true)
	const gib = 1 << 30
	// int8 linears 3.00 GiB + bf16 embedding 1.145 GiB; f32 LoRA with gradients and Adam 1.375 GiB.
	if w := float64(p.Weights) / gib; w < 4.13 || w > 4.16 {
		t.Errorf("weights take %.3f GiB", w)
	}
	if a := float64(p.Adapter+p.Gradients+p.Optimizer) / gib; a < 1.37 || a > 1.39 {
		t.Errorf("adapters take %.3f GiB", a)
	}
	if total := float64(p.Total()) / gib; total < 6 || total > 8 {
		t.Errorf("in all %.2f GiB; expected to fit a card of 12", total)
	}
	full := c.PlanTraining(StoreNative, 2, o, 1024, false)
	if full.Activations < 5*p.Activations {
		t.Errorf("recomputing saves too little: %d to %d", full.Activations, p.Activations)
	}
	if n := c.KVCacheBytes(4096); n != gib {
		t.Errorf("the f32 cache of 4096 tokens has %d bytes", n)
	}
}

// The estimate is compared with what the backend really held.
func TestPlan_HoldsWhatTheBackendTakes(t *testing.T) {
	w := load(t, "tiny-phi3", StoreF32)
	o := AdapterOptions{Rank: 8, Alpha: 16, Targets: Modules, Gates: "all", Dropout: 0.1}
	b := join(sequence(60), sequence(61), sequence(62), sequence(63))
	for _, recompute := range []bool{false, true} {
		be := single(t)
		m, err := NewAdapterModel(be, w, TrainOptions{MaxLen: 64, Recompute: recompute}, o)
		if err != nil {
			t.Fatal(err)
		}
		learn(t, be, m, b, Pass{CEScale: 1, PETScale: 1, Train: true})
		p := w.Config.PlanTraining(StoreF32, 4, o, len(b.Tokens), recompute)
		// Weights are aliased, moments belong to the optimiser: neither is the backend's here.
		plan, peak := p.Total()-p.Weights-p.Optimizer, be.Counters().PeakBytes
		if ratio := float64(peak) / float64(plan); ratio < 0.4 || ratio > 1.3 {
			t.Errorf("recompute %v: planned %d bytes, held %d (%.2f)", recompute, plan, peak, ratio)
		}
		m.Release()
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
	p := w.Config.PlanScoring(4)
	if p.Weights != w.Config.WeightBytes(StoreF32, 4) {
		t.Errorf("weights of %d bytes", p.Weights)
	}
	plan, peak := p.Activations+p.Head, be.Counters().PeakBytes // weights are aliased
	if ratio := float64(peak) / float64(plan); ratio < 0.3 || ratio > 1.3 {
		t.Errorf("planned %d bytes, held %d (%.2f)", plan, peak, ratio)
	}
}
