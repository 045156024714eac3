package phi3

import (
	"github.com/so8t/so8t/stages/internal/backend"
	"github.com/so8t/so8t/stages/internal/so8t"
)

// MemoryPlan estimates what training takes, in bytes: what a stage asks for before it
// starts. It counts what is large (weights, adapters, optimiser, activations, head
// chunk) and leaves out what is not (tables, code).
type MemoryPlan struct {
	Weights     int64 // the base as stored
	Adapter     int64 // trained parameters
	Gradients   int64
	Optimizer   int64 // AdamW's two moments
	Activations int64 // of one micro-batch, kept for the backward pass
	Head        int64 // one chunk of logits and gradient in the cross-entropy
}

// Total is the sum.
func (p MemoryPlan) Total() int64 {
	return p.Weights + p.Adapter + p.Gradients + p.Optimizer + p.Activations + p.Head
}

// headChunkRows is how many rows of logits exist at once in the cross-entropy.
const headChunkRows = 256

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

// PlanTraining estimates the training of adapters on a frozen base with micro-batches of
// tokens tokens.
func (c *Config) PlanTraining(store Storage, native int, a AdapterOptions, tokens int, recompute bool) MemoryPlan {
	lora, gates := c.TrainedParameters(a)
	p := MemoryPlan{Weights: c.WeightBytes(store, native), Adapter: 4 * (lora + gates)}
	p.Gradients, p.Optimizer = p.Adapter, 2*p.Adapter
	p.Activations = c.activationBytes(a, tokens, recompute)
	p.Head = 4 * int64(min(tokens, headChunkRows)) * int64(c.Vocab)
	return p
}

// PlanPretraining estimates the training of all weights.
func (c *Config) PlanPretraining(tokens int, recompute bool) MemoryPlan {
	n := c.Parameters()
	p := MemoryPlan{Weights: 4 * n, Gradients: 4 * n, Optimizer: 8 * n}
	p.Activations = c.activationBytes(AdapterOptions{}, tokens, recompute)
	p.Head = 4*int64(min(tokens, headChunkRows))*int64(c.Vocab) + 4*int64(c.Vocab)*int64(c.Hidden)
	return p
}

// PlanScoring estimates Runner.Score and GenerateMany on weights of native bytes each.
func (c *Config) PlanScoring(native int) MemoryPlan {
	layer := c.activationBytes(AdapterOptions{}, scoreTokens, true) - 4*scoreTokens*int64(c.Layers*c.Hidden) // no layer's input is kept
	return MemoryPlan{Weights: c.WeightBytes(StoreNative, native), Activations: layer, Head: 4 * headChunkRows * int64(c.Vocab)}
}

// activationBytes follows block: what each operator keeps per token, in f32.
func (c *Config) activationBytes(a AdapterOptions, tokens int, recompute bool) int64 {
	layer := int64(6*c.Hidden + 2*c.QKVOut() + 2*c.AttnOut() + 3*c.Intermediate) // norms, sums, o, gate; qkv twice; gate_up, SwiGLU
	if a.Dropout > 0 {
		layer += int64(2*c.Hidden + c.AttnOut() + c.Intermediate) // dropped-out inputs
	}
	if len(a.Targets) > 0 {
		layer += int64(len(Modules) * a.Rank)
	}
	kept := int64(c.Layers) * layer
	if recompute {
		kept = int64(c.Layers*c.Hidden) + 2*layer // inputs of all layers, one layer and its gradients
	}
	return 4 * int64(tokens) * (kept + int64(3*c.Hidden))
}

// KVCacheBytes is the f32 cache of one sequence.
func (c *Config) KVCacheBytes(tokens int) int64 {
	return 2 * 4 * int64(c.Layers) * int64(c.KVHeads) * int64(c.HeadDim) * int64(tokens)
}
