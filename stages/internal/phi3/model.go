package phi3

import (
	"github.com/nlpodyssey/spago/mat"

	"github.com/so8t/so8t/stages/internal/backend"
	"github.com/so8t/so8t/stages/internal/ops"
	"github.com/so8t/so8t/stages/internal/tensor"
)

// Model is the network in training, on a backend. The base is either frozen, with LoRA
// adapters and gates beside it, or trained as a whole.
type Model struct {
	Config *Config

	be     backend.Backend
	embed  ops.Matrix // [V, C]
	layers []layer
	norm   ops.Gain   // [C]
	head   ops.Matrix // [V, C], the embeddings when tied
	rope   rope

	recompute bool
	seed      uint64
	blank     bool // has no first values: see plan
	adapter   AdapterOptions

	base, lora, gates tensor.Params // what is trained, each in the order of the forward pass
	frozen            []backend.Weight
	gains             []backend.Buffer
}

// layer is one decoder layer.
type layer struct {
	index     int
	inputNorm ops.Gain      // [C]
	qkv       projection    // C → (H+2K)·D
	o         projection    // H·D → C
	gate      *tensor.Param // [C/8, 28], nil without
	postNorm  ops.Gain      // [C]
	gateUp    projection    // C → 2I
	down      projection    // I → C
	params    tensor.Params // all trained ones of the layer
}

// projection is a linear layer and its adapter, if any.
type projection struct {
	w    ops.Matrix
	lora *ops.LoRA
	salt uint64 // tells its dropout bits from those of other projections
}

// Batch is one packed row of sequences: attention and positions stay inside each.
type Batch struct {
	Tokens  []int32 // [T]
	Targets []int32 // [T] the token to predict at each place, -1 for none
	Packing backend.PackingData
}

// Pass says how a batch is to be used.
type Pass struct {
	CEScale  float64 // 1 / target tokens of the accumulation window
	PETScale float64 // lambda / triples of the window; 0 leaves PET out
	Train    bool    // with dropout
	Measure  bool    // the losses alone: nothing gets a gradient
	Step     int64   // what dropout's bits depend on, beside seed, sequence and place
}

// Losses records the graph of one pass in sc: the scaled cross-entropy and the scaled
// PET term (nil when left out), 1×1 each.
func (m *Model) Losses(sc backend.Scope, b Batch, p Pass) (ce, pet mat.Tensor, err error) {
	pk, err := m.rope.pack(m.be, m.Config, b.Packing)
	if err != nil {
		return nil, nil, err
	}
	h := m.forward(sc, b.Tokens, pk, p)
	if p.Measure {
		v := tensor.Of(h)
		h = tensor.Wrap(m.be, sc, v.Buffer(), v.Rows(), v.Cols()) // a leaf: the head leaves out its gradient
	}
	ce = ops.HeadCE(h, m.head, sc.AllocInts(b.Targets), p.CEScale)
	if p.PETScale != 0 {
		pet = ops.PET(h, pk, p.PETScale)
	}
	return ce, pet, m.be.Err()
}

// forward returns the states after the final norm. [T, C]
func (m *Model) forward(sc backend.Scope, tokens []int32, pk backend.Packing, p Pass) mat.Tensor {
	x := ops.Embed(m.be, sc, sc.AllocInts(tokens), m.embed)
	for i := range m.layers {
		l := &m.layers[i]
		block := func(x mat.Tensor) mat.Tensor { return m.block(l, x, pk, p) }
		if m.recompute {
			x = ops.Checkpoint(block, x, m.Config.Hidden, l.params)
		} else {
			x = block(x)
		}
	}
	return ops.RMSNorm(x, m.norm, m.Config.RMSEps)
}

// block is one decoder layer: x += gate(o(attention(qkv(norm(x))))), x += mlp(norm(x)).
func (m *Model) block(l *layer, x mat.Tensor, pk backend.Packing, p Pass) mat.Tensor {
	h := ops.RMSNorm(x, l.inputNorm, m.Config.RMSEps)                                     // [T, C]
	a := ops.Attention(m.linear(h, l.qkv, pk, p), m.Config.attention(), m.rope.table, pk) // [T, H·D]
	a = m.linear(a, l.o, pk, p)                                                           // [T, C]
	if l.gate != nil {
		a = ops.Gate(a, *l.gate)
	}
	x = ops.Add(x, a)
	h = ops.RMSNorm(x, l.postNorm, m.Config.RMSEps)
	h = ops.SwiGLU(m.linear(h, l.gateUp, pk, p)) // [T, I]
	return ops.Add(x, m.linear(h, l.down, pk, p))
}

// linear applies a projection, with dropout in front of its adapter when training.
func (m *Model) linear(x mat.Tensor, l projection, pk backend.Packing, p Pass) mat.Tensor {
	if l.lora == nil {
		return ops.Linear(x, l.w, nil, pk)
	}
	lora := *l.lora
	if p.Train && m.adapter.Dropout > 0 {
		lora.Dropout = m.adapter.Dropout
		lora.Key = hash(m.seed, uint64(p.Step), l.salt)
	}
	return ops.Linear(x, l.w, &lora, pk)
}

func (c *Config) attention() backend.AttentionShape {
	return backend.AttentionShape{Heads: c.Heads, KVHeads: c.KVHeads, Dim: c.HeadDim}
}
