package phi3

import (
	"slices"

	"github.com/nlpodyssey/spago/ag"

	"github.com/so8t/so8t/stages/internal/backend"
	"github.com/so8t/so8t/stages/internal/so8t"
	"github.com/so8t/so8t/stages/internal/tensor"
)

// MemoryPlan is what training or scoring takes, in bytes: what a stage asks for before it
// starts.
type MemoryPlan struct {
	Weights     int64 // the base as stored; none when all of it is trained
	Trained     int64 // trained parameters
	Gradients   int64
	Optimizer   int64 // AdamW's two moments
	Activations int64 // of one micro-batch, forward and backward, with the chunk of logits, and tables
	Copies      int64 // on the host: of a checkpoint on its way, and of the best so far, there and since
}

// Total is the sum.
func (p MemoryPlan) Total() int64 { return p.Weights + p.Buffers() + p.Copies }

// Buffers is the part that a backend counts.
func (p MemoryPlan) Buffers() int64 { return p.Trained + p.Gradients + p.Optimizer + p.Activations }

// OnGPU is what a card must hold, with a part for what lies between buffers.
func (p MemoryPlan) OnGPU() int64 {
	n := p.Weights + p.Buffers()
	return n + n/16
}

// TrainedParameters counts adapters and gates; what does not resolve counts as nothing.
func (c *Config) TrainedParameters(a AdapterOptions) (lora, gates int64) {
	if len(a.Targets) > 0 {
		targets, _ := c.SelectTargets(a.Targets) // reported by NewAdapterModel
		for _, t := range targets {
			out, in := c.ModuleShape(t.Module)
			lora += int64(a.Rank) * int64(out+in)
		}
	}
	layers, _ := c.SelectLayers(a.Gates)
	return lora, int64(len(layers)) * int64(c.Hidden/so8t.Block) * so8t.Params
}

// WeightBytes is the size of the model in memory or in a file. native is the number of
// bytes of an element where storage keeps the file's own.
func (c *Config) WeightBytes(store Storage, native int) (total int64) {
	width := map[Storage]int64{StoreF32: 4, StoreBF16: 2}[store]
	if width == 0 {
		width = int64(native)
	}
	for _, t := range c.Tensors() {
		n := int64(t.Len())
		switch {
		case t.Role == RoleNorm:
			total += 4 * n
		case t.Role == RoleLinear && store == StoreInt8:
			total += n + 4*int64(t.Shape[0])
		case t.Role == RoleLinear && store == StoreNF4:
			blocks := backend.NF4Blocks(t.Len())
			total += (n+1)/2 + int64(blocks) + 4*int64((blocks+backend.NF4Group-1)/backend.NF4Group)
		default:
			total += width * n
		}
	}
	return total
}

// NativeBytes is how many bytes StoreNative holds a weight of a folder in: bf16 is used as it
// is, anything else is widened.
func (c *Config) NativeBytes() int {
	if c.DType == "bfloat16" {
		return 2
	}
	return 4
}

// FileBytes is the size of the model's tensors in a file of elements of width bytes.
func (c *Config) FileBytes(width int) int64 { return c.Parameters() * int64(width) }

// PlanTraining is the training of adapters on a frozen base, with micro-batches of rows of
// these lengths. It takes a step on dry, a backend that only counts.
func (c *Config) PlanTraining(dry backend.Backend, store Storage, native int, a AdapterOptions, rows []int, recompute bool) (MemoryPlan, error) {
	m, err := NewAdapterModel(dry, c.blank(store), TrainOptions{MaxLen: slices.Max(rows), Recompute: recompute, blank: true}, a)
	if err != nil {
		return MemoryPlan{}, err
	}
	defer m.Release()
	p, err := m.plan(slices.Concat(m.lora, m.gates), rows)
	p.Weights = c.WeightBytes(store, native)
	return p, err
}

// PlanPretraining is the training of all weights.
func (c *Config) PlanPretraining(dry backend.Backend, rows []int) (MemoryPlan, error) {
	m, err := NewBaseModel(dry, c.blank(StoreF32), TrainOptions{MaxLen: slices.Max(rows), blank: true})
	if err != nil {
		return MemoryPlan{}, err
	}
	defer m.Release()
	return m.plan(m.base, rows)
}

// blank is a model's weights without their numbers.
func (c *Config) blank(store Storage) *Weights {
	kinds := map[Storage]backend.Kind{StoreBF16: backend.BFloat16, StoreInt8: backend.Int8, StoreNF4: backend.NF4}
	plain := backend.Float32
	if store == StoreBF16 || store == StoreNative && c.DType == "bfloat16" {
		plain = backend.BFloat16
	}
	linear, ok := kinds[store]
	if !ok {
		linear = plain
	}
	return c.blankOf(plain, linear)
}

func (c *Config) blankOf(plain, linear backend.Kind) *Weights {
	w := &Weights{Config: c, Layers: make([]LayerWeights, c.Layers), Norm: make([]float32, c.Hidden)}
	w.Embed = backend.WeightData{Kind: plain, Rows: c.Vocab, Cols: c.Hidden}
	w.Head = w.Embed
	for i := range w.Layers {
		l := &w.Layers[i]
		l.InputNorm, l.PostNorm = w.Norm, w.Norm
		for _, module := range Modules {
			out, in := c.ModuleShape(module)
			*l.Module(module) = backend.WeightData{Kind: linear, Rows: out, Cols: in}
		}
	}
	return w
}

// plan takes a step with every token a target, on the dry backend that the model is on.
func (m *Model) plan(trained tensor.Params, rows []int) (MemoryPlan, error) {
	p := MemoryPlan{}
	for _, q := range trained {
		n := q.Tensor().Size()
		p.Trained += 4 * int64(n)
		for range 2 {
			defer m.be.Release(m.be.NewBuffer(n))
		}
	}
	p.Gradients, p.Optimizer, p.Copies = p.Trained, 2*p.Trained, 5*p.Trained
	var b Batch
	for i, n := range rows {
		b.Packing.Segments = append(b.Packing.Segments, backend.Segment{Start: b.Packing.Rows, Len: n, ID: uint64(i)})
		b.Packing.Rows += n
	}
	b.Tokens, b.Targets = make([]int32, b.Packing.Rows), make([]int32, b.Packing.Rows)
	sc := m.be.NewScope()
	defer sc.End()
	ce, pet, err := m.Losses(sc, b, Pass{CEScale: 1, PETScale: 1, Train: true})
	if err != nil {
		return p, err
	}
	if err := ag.Backward(ce, pet); err != nil {
		return p, err
	}
	p.Activations = m.be.Counters().PeakBytes - p.Trained - p.Gradients - p.Optimizer
	return p, nil
}

// PlanScoring is Runner.Score on matrices of a kind, with all weights in so many bytes: one full pass on a dry backend.
func (c *Config) PlanScoring(dry backend.Backend, kind backend.Kind, weights int64) (MemoryPlan, error) {
	longest := min(c.Longest(), scoreTokens)
	base, err := NewBase(dry, c.blankOf(kind, kind), longest)
	if err != nil {
		return MemoryPlan{}, err
	}
	defer base.Release()
	r, err := NewRunner(base, nil)
	if err != nil {
		return MemoryPlan{}, err
	}
	defer r.Release()
	question := Question{Prompt: make([]int32, max(1, longest-2)), Continuations: [][]int32{{0, 0}, {min(1, int32(c.Vocab-1)), 0}}}
	if _, err := r.Score(slices.Repeat([]Question{question}, scoreTokens/longest), nil); err != nil {
		return MemoryPlan{}, err
	}
	return MemoryPlan{Weights: weights, Activations: dry.Counters().PeakBytes}, nil
}

// KVCacheBytes is the f32 cache of one sequence.
func (c *Config) KVCacheBytes(tokens int) int64 {
	return 2 * 4 * int64(c.Layers) * int64(c.KVHeads) * int64(c.HeadDim) * int64(tokens)
}
