package phi3

import (
	"fmt"

	"github.com/so8t/so8t/stages/internal/backend"
	"github.com/so8t/so8t/stages/internal/so8t"
)

// Runner is the network in inference: no graph, no gradients. An adapter is applied beside
// the weights, so that several runners can share one base; to have it inside the weights,
// load them from a Merged source. It is for one goroutine.
type Runner struct {
	Config *Config

	be     backend.Backend
	base   *Base
	layers []runLayer
	shape  backend.AttentionShape
	scope  backend.Scope
	owned  []backend.Weight
	gates  []backend.Buffer

	observer Observer // nil: nobody looks
}

// runLayer is what an adapter adds to a layer of the base.
type runLayer struct {
	lora [4]*runLoRA    // in the order of Modules; nil without
	gate backend.Buffer // R [C/8, 8, 8]; nil without
}

type runLoRA struct{ a, b backend.Weight } // b with the scale multiplied in

// Base is a model's weights on a backend, shared by the runners of its adapters.
type Base struct {
	Config *Config

	be     backend.Backend
	embed  backend.Weight // [V, C]
	head   backend.Weight // [V, C]
	layers []baseLayer
	norm   backend.Buffer // [C]
	rope   rope
}

type baseLayer struct {
	inputNorm, postNorm backend.Buffer
	w                   [4]backend.Weight // in the order of Modules
}

// NewBase puts weights on a backend for sequences of up to maxLen tokens. Host memory may
// be aliased: keep w and its source until Release.
func NewBase(be backend.Backend, w *Weights, maxLen int) (*Base, error) {
	if err := w.Config.CheckLength(maxLen); err != nil {
		return nil, fmt.Errorf("preparing inference: %w", err)
	}
	gain := func(v []float32) backend.Buffer {
		b := be.NewBuffer(len(v))
		be.Upload(b, v)
		return b
	}
	b := &Base{Config: w.Config, be: be, embed: be.NewWeight(w.Embed), norm: gain(w.Norm), rope: newRope(be, w.Config, maxLen)}
	b.head = b.embed
	if !w.Config.TiedEmbeddings {
		b.head = be.NewWeight(w.Head)
	}
	for i := range w.Layers {
		l := baseLayer{inputNorm: gain(w.Layers[i].InputNorm), postNorm: gain(w.Layers[i].PostNorm)}
		for k, module := range Modules {
			l.w[k] = be.NewWeight(*w.Layers[i].Module(module))
		}
		b.layers = append(b.layers, l)
	}
	return b, be.Err()
}

// Release gives the weights' memory back; runners of it end here.
func (b *Base) Release() {
	b.be.ReleaseWeight(b.embed)
	if b.head != b.embed {
		b.be.ReleaseWeight(b.head)
	}
	for _, l := range b.layers {
		b.be.Release(l.inputNorm)
		b.be.Release(l.postNorm)
		for _, w := range l.w {
			b.be.ReleaseWeight(w)
		}
	}
	b.be.Release(b.norm)
	b.rope.release(b.be)
}

// NewRunner makes a runner of a base, with an adapter or nil. Adapter.WithoutGates gives
// the one to measure what the gates do.
func NewRunner(b *Base, a *so8t.Adapter) (*Runner, error) {
	r := &Runner{Config: b.Config, be: b.be, base: b, layers: make([]runLayer, b.Config.Layers), shape: b.Config.attention(), scope: b.be.NewScope()}
	if a == nil {
		return r, nil
	}
	if err := CheckAdapter(b.Config, a); err != nil {
		return nil, err
	}
	for i := range r.layers {
		for k, module := range Modules {
			if m := a.LoRA.Find(ModulePath(i, module)); m != nil {
				r.layers[i].lora[k] = r.adopt(a.LoRA, m)
			}
		}
		if theta := a.Gates.Find(i); theta != nil {
			r.layers[i].gate = r.rotation(theta)
		}
	}
	return r, b.be.Err()
}

func (r *Runner) adopt(l *so8t.LoRA, m *so8t.Module) *runLoRA {
	scaled := make([]float32, len(m.B))
	for i, v := range m.B {
		scaled[i] = float32(float64(v) * l.Scale())
	}
	out := &runLoRA{
		a: r.be.NewWeight(backend.WeightData{Rows: l.Rank, Cols: m.In, F32: m.A}),
		b: r.be.NewWeight(backend.WeightData{Rows: m.Out, Cols: l.Rank, F32: scaled}),
	}
	r.owned = append(r.owned, out.a, out.b)
	return out
}

func (r *Runner) rotation(theta []float32) backend.Buffer {
	b := newRotation(r.be, theta)
	r.gates = append(r.gates, b)
	return b
}

// newRotation evaluates a gate once, in float64. [C/8, 8, 8]
func newRotation(be backend.Backend, theta []float32) backend.Buffer {
	blocks := so8t.Rotations(theta)
	flat := make([]float64, 0, len(blocks)*so8t.Block*so8t.Block)
	for _, m := range blocks {
		flat = append(flat, m[:]...)
	}
	b := be.NewBuffer(len(flat))
	be.Upload64(b, flat)
	return b
}

// Release gives back what the adapter took; the base stays.
func (r *Runner) Release() {
	r.scope.End()
	for _, w := range r.owned {
		r.be.ReleaseWeight(w)
	}
	for _, b := range r.gates {
		r.be.Release(b)
	}
}

// attend is the part of a layer that differs between uses: it turns fused qkv rows of a
// layer into attention output [T, H·D].
type attend func(layer int, out, qkv backend.Buffer)

// forward runs all layers over T packed tokens and returns the states after the final
// norm. [T, C]
func (r *Runner) forward(tokens []int32, att attend) backend.Buffer {
	be, sc, c, T := r.be, r.scope, r.Config, len(tokens)
	x, h := sc.Alloc(T*c.Hidden), sc.Alloc(T*c.Hidden)
	inv := sc.Alloc(T)
	qkv, a := sc.Alloc(T*c.QKVOut()), sc.Alloc(T*c.AttnOut())
	gu, y := sc.Alloc(T*2*c.Intermediate), sc.Alloc(T*c.Intermediate)
	be.Embed(x, r.base.embed, sc.AllocInts(tokens))
	for i := range r.base.layers {
		l := &r.base.layers[i]
		be.RMSNorm(h, inv, x, l.inputNorm, T, c.Hidden, c.RMSEps)
		r.linear(qkv, h, i, 0, T, 0)
		att(i, a, qkv)
		if gate := r.layers[i].gate; gate != nil {
			r.linear(h, a, i, 1, T, 0)
			be.Rotate(h, h, gate, T, c.Hidden/so8t.Block, false)
			be.Axpby(x, 1, h, 1, x)
		} else {
			r.linear(x, a, i, 1, T, 1)
		}
		be.RMSNorm(h, inv, x, l.postNorm, T, c.Hidden, c.RMSEps)
		r.linear(gu, h, i, 2, T, 0)
		be.SwiGLU(y, gu, T, c.Intermediate)
		r.linear(x, y, i, 3, T, 1)
	}
	be.RMSNorm(h, inv, x, r.base.norm, T, c.Hidden, c.RMSEps)
	for _, b := range []backend.Buffer{x, inv, qkv, a, gu, y} {
		sc.Free(b)
	}
	return h
}

// linear is y = x·Wᵀ + beta·y, with the adapter of module number k.
func (r *Runner) linear(y, x backend.Buffer, layer, k, rows int, beta float64) {
	if r.observer != nil {
		r.show(layer, k, rows, x)
	}
	r.be.Linear(y, x, r.base.layers[layer].w[k], rows, beta)
	if l := r.layers[layer].lora[k]; l != nil {
		mid := r.scope.Alloc(rows * l.a.Rows())
		r.be.Linear(mid, x, l.a, rows, 0)
		r.be.Linear(y, mid, l.b, rows, 1)
		r.scope.Free(mid)
	}
}

// packedAttention is causal attention inside each segment.
func (r *Runner) packedAttention(p backend.PackingData) (attend, error) {
	pk, err := r.base.rope.pack(r.be, r.Config, p)
	if err != nil {
		return nil, err
	}
	lse := r.scope.Alloc(p.Rows * r.Config.Heads)
	return func(_ int, out, qkv backend.Buffer) {
		r.be.Rope(qkv, qkv, r.shape, r.base.rope.table, pk, false)
		r.be.Attention(out, lse, qkv, r.shape, pk)
	}, nil
}

// gather copies rows of h [*, C] together.
func (r *Runner) gather(h backend.Buffer, rows []int32) backend.Buffer {
	out := r.scope.Alloc(len(rows) * r.Config.Hidden)
	w := r.be.WeightOf(h, h.Len()/r.Config.Hidden, r.Config.Hidden)
	r.be.Embed(out, w, r.scope.AllocInts(rows))
	return out
}

// logits of n rows of states, downloaded. [n, V]
func (r *Runner) logits(h backend.Buffer, n int) []float32 {
	out := r.scope.Alloc(n * r.Config.Vocab)
	r.be.Linear(out, h, r.base.head, n, 0)
	host := make([]float32, n*r.Config.Vocab)
	r.be.Download(host, out)
	return host
}

// concat lays sequences side by side in one packed row.
func concat(seqs [][]int32) (tokens []int32, p backend.PackingData, err error) {
	for i, s := range seqs {
		if len(s) == 0 {
			return nil, p, fmt.Errorf("running the model: sequence %d is empty", i)
		}
		p.Segments = append(p.Segments, backend.Segment{Start: len(tokens), Len: len(s), ID: uint64(i)})
		tokens = append(tokens, s...)
	}
	p.Rows = len(tokens)
	return tokens, p, nil
}

// Logits runs sequences packed and returns the logits at every position, sequence after
// sequence. [ΣT, V]
func (r *Runner) Logits(seqs ...[]int32) ([]float32, error) {
	defer r.scope.End()
	h, n, err := r.states(seqs)
	if err != nil {
		return nil, err
	}
	return r.logits(h, n), r.be.Err()
}

// LastLogits is Logits at the last token of each sequence. [len(seqs), V]
func (r *Runner) LastLogits(seqs ...[]int32) ([]float32, error) {
	defer r.scope.End()
	h, _, err := r.states(seqs)
	if err != nil {
		return nil, err
	}
	var last []int32
	at := 0
	for _, s := range seqs {
		at += len(s)
		last = append(last, int32(at-1))
	}
	return r.logits(r.gather(h, last), len(seqs)), r.be.Err()
}

func (r *Runner) states(seqs [][]int32) (backend.Buffer, int, error) {
	tokens, p, err := concat(seqs)
	if err != nil {
		return nil, 0, err
	}
	if err := r.checkTokens(tokens); err != nil {
		return nil, 0, err
	}
	att, err := r.packedAttention(p)
	if err != nil {
		return nil, 0, err
	}
	return r.forward(tokens, att), len(tokens), nil
}

func (r *Runner) checkTokens(tokens []int32) error { return checkTokens(r.Config, tokens) }

func checkTokens(c *Config, tokens []int32) error {
	for i, id := range tokens {
		if id < 0 || int(id) >= c.Vocab {
			return fmt.Errorf("running the model: token %d is %d; the vocabulary has %d", i, id, c.Vocab)
		}
	}
	return nil
}
