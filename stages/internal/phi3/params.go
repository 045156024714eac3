package phi3

import (
	"fmt"
	"hash/fnv"
	"math"
	"math/rand/v2"
	"slices"

	"github.com/so8t/so8t/stages/internal/backend"
	"github.com/so8t/so8t/stages/internal/ops"
	"github.com/so8t/so8t/stages/internal/so8t"
	"github.com/so8t/so8t/stages/internal/tensor"
)

// TrainOptions configures a Model.
type TrainOptions struct {
	MaxLen int // longest sequence that will be seen
	// Recompute keeps only each layer's input and computes the rest again in the
	// backward pass.
	Recompute bool
	Seed      uint64 // dropout, and the adapters' first values
	blank     bool   // leave those out: for a plan
}

func (t TrainOptions) check(c *Config) error {
	if err := c.CheckLength(t.MaxLen); err != nil {
		return fmt.Errorf("making a model to train: sequences of up to %w", err)
	}
	return nil
}

// AdapterOptions says what is trained beside a frozen base.
type AdapterOptions struct {
	Rank     int
	Alpha    float64
	RankStab bool
	Dropout  float64
	Targets  []string // see SelectTargets; empty: no LoRA
	Gates    string   // see SelectLayers
	// From is the adapter to go on from, or nil: its rank, alpha and modules take the place
	// of those above, its gates are where the chosen ones start.
	From *so8t.Adapter
}

// ResolveAdapter puts what an adapter to go on from says in the place of the other options.
func (c *Config) ResolveAdapter(a AdapterOptions) (AdapterOptions, error) {
	if a.From == nil {
		return a, nil
	}
	if err := CheckAdapter(c, a.From); err != nil {
		return a, err
	}
	if l := a.From.LoRA; l != nil {
		a.Rank, a.Alpha, a.RankStab, a.Targets = l.Rank, l.Alpha, l.RankStab, nil
		for _, m := range l.Modules {
			a.Targets = append(a.Targets, m.Path)
		}
	}
	gated, err := c.SelectLayers(a.Gates)
	if err != nil || a.From.Gates == nil {
		return a, err
	}
	for _, g := range a.From.Gates.Layers {
		if !slices.Contains(gated, g.Layer) {
			return a, fmt.Errorf("going on from an adapter: it has a gate in layer %d, which is not among the chosen layers %q", g.Layer, a.Gates)
		}
	}
	return a, nil
}

// NewAdapterModel puts a base on a backend, frozen, with fresh adapters (B = 0) and gates
// (identity) beside it: its first output is the base's, bit for bit.
func NewAdapterModel(be backend.Backend, w *Weights, t TrainOptions, a AdapterOptions) (*Model, error) {
	if err := t.check(w.Config); err != nil {
		return nil, err
	}
	a, err := w.Config.ResolveAdapter(a)
	if err != nil {
		return nil, err
	}
	m := newModel(be, w.Config, t)
	m.adapter = a
	if len(a.Targets) == 0 && (a.Gates == "" || a.Gates == "none") {
		return nil, fmt.Errorf("making a model to train: neither adapter targets nor gated layers are chosen")
	}
	gated, err := w.Config.SelectLayers(a.Gates)
	if err != nil {
		return nil, err
	}
	if len(gated) > 0 && w.Config.Hidden%so8t.Block != 0 {
		return nil, fmt.Errorf("making gates: hidden_size %d is not a multiple of %d", w.Config.Hidden, so8t.Block)
	}
	if len(a.Targets) > 0 && (a.Rank < 1 || !(a.Alpha > 0)) {
		return nil, fmt.Errorf("making adapters: rank %d and alpha %v must be positive", a.Rank, a.Alpha)
	}
	var targets []Target
	if len(a.Targets) > 0 {
		if targets, err = w.Config.SelectTargets(a.Targets); err != nil {
			return nil, err
		}
	}
	m.freeze(w)
	scale := (&so8t.LoRA{Rank: a.Rank, Alpha: a.Alpha, RankStab: a.RankStab}).Scale()
	for _, target := range targets {
		m.addLoRA(target, a.Rank, scale)
	}
	for _, l := range gated {
		p := tensor.NewParam(be, fmt.Sprintf("model.layers.%d.self_attn.o_proj.so8t", l), w.Config.Hidden/so8t.Block, so8t.Params, a.theta(l))
		m.layers[l].gate = &p
		m.layers[l].params = append(m.layers[l].params, p)
		m.gates = append(m.gates, p)
	}
	return m, be.Err()
}

// NewBaseModel puts weights on a backend with every one of them trained; w is copied.
func NewBaseModel(be backend.Backend, w *Weights, t TrainOptions) (*Model, error) {
	if err := t.check(w.Config); err != nil {
		return nil, err
	}
	m := newModel(be, w.Config, t)
	train := func(name string, rows, cols int, values []float32) tensor.Param {
		p := tensor.NewParam(be, name, rows, cols, values)
		m.base = append(m.base, p)
		return p
	}
	matrix := func(name string, d backend.WeightData) (ops.Matrix, tensor.Param, error) {
		if d.Kind != backend.Float32 {
			return ops.Matrix{}, tensor.Param{}, fmt.Errorf("training tensor %q: it is stored as %s, f32 is needed", name, d.Kind)
		}
		p := train(name, d.Rows, d.Cols, d.F32)
		return ops.Trained(p), p, nil
	}
	c := w.Config
	var err error
	if m.embed, _, err = matrix(embedName, w.Embed); err != nil {
		return nil, err
	}
	for i := range w.Layers {
		src, dst := &w.Layers[i], &m.layers[i]
		first := len(m.base)
		dst.inputNorm = ops.TrainedGain(train(inputNormName(i), 1, c.Hidden, src.InputNorm))
		for _, module := range Modules {
			if module == GateUp {
				dst.postNorm = ops.TrainedGain(train(postNormName(i), 1, c.Hidden, src.PostNorm))
			}
			if dst.module(module).w, _, err = matrix(moduleName(i, module), *src.Module(module)); err != nil {
				return nil, err
			}
		}
		dst.params = m.base[first:len(m.base):len(m.base)]
	}
	m.norm = ops.TrainedGain(train(normName, 1, c.Hidden, w.Norm))
	m.head = m.embed
	if !c.TiedEmbeddings {
		if m.head, _, err = matrix(headName, w.Head); err != nil {
			return nil, err
		}
	}
	return m, be.Err()
}

func newModel(be backend.Backend, c *Config, t TrainOptions) *Model {
	m := &Model{Config: c, be: be, layers: make([]layer, c.Layers), rope: newRope(be, c, t.MaxLen), recompute: t.Recompute, seed: t.Seed, blank: t.blank}
	for i := range m.layers {
		m.layers[i].index = i
		for _, module := range Modules {
			m.layers[i].module(module).salt = nameHash(ModulePath(i, module))
		}
	}
	return m
}

func (l *layer) module(name string) *projection {
	switch name {
	case QKV:
		return &l.qkv
	case O:
		return &l.o
	case GateUp:
		return &l.gateUp
	}
	return &l.down
}

// freeze hands the base to the backend.
func (m *Model) freeze(w *Weights) {
	weight := func(d backend.WeightData) ops.Matrix {
		h := m.be.NewWeight(d)
		m.frozen = append(m.frozen, h)
		return ops.Frozen(h)
	}
	gain := func(v []float32) ops.Gain {
		b := m.be.NewBuffer(len(v))
		m.be.Upload(b, v)
		m.gains = append(m.gains, b)
		return ops.FrozenGain(b)
	}
	m.embed = weight(w.Embed)
	for i := range w.Layers {
		src, dst := &w.Layers[i], &m.layers[i]
		dst.inputNorm, dst.postNorm = gain(src.InputNorm), gain(src.PostNorm)
		for _, module := range Modules {
			dst.module(module).w = weight(*src.Module(module))
		}
	}
	m.norm = gain(w.Norm)
	m.head = m.embed
	if !w.Config.TiedEmbeddings {
		m.head = weight(w.Head)
	}
}

// theta are the angles that a layer's gate starts at; nil is the identity.
func (a AdapterOptions) theta(layer int) []float32 {
	if a.From == nil {
		return nil
	}
	return a.From.Gates.Find(layer)
}

// matrices are what a module's adapter starts at: those of the adapter to go on from, else A
// uniform in ±1/√in (PEFT's default) and B zero.
func (m *Model) matrices(path string, rank, in int) (a, b []float32) {
	if from := m.adapter.From; from != nil {
		if mod := from.LoRA.Find(path); mod != nil {
			return mod.A, mod.B
		}
	}
	rng := rand.New(rand.NewPCG(m.seed, nameHash(path)))
	if m.blank {
		return nil, nil
	}
	a = make([]float32, rank*in)
	bound := 1 / math.Sqrt(float64(in))
	for i := range a {
		a[i] = float32((2*rng.Float64() - 1) * bound)
	}
	return a, nil
}

func (m *Model) addLoRA(t Target, rank int, scale float64) {
	out, in := m.Config.ModuleShape(t.Module)
	path := t.Path()
	a, b := m.matrices(path, rank, in)
	l := &m.layers[t.Layer]
	lora := &ops.LoRA{
		A:     tensor.NewParam(m.be, path+".lora_A", rank, in, a),
		B:     tensor.NewParam(m.be, path+".lora_B", out, rank, b),
		Scale: scale,
	}
	l.module(t.Module).lora = lora
	l.params = append(l.params, lora.A, lora.B)
	m.lora = append(m.lora, lora.A, lora.B)
}

// BaseParams, LoRAParams and GateParams are what is trained, in the order of the forward
// pass; empty where there is nothing of the kind.
func (m *Model) BaseParams() tensor.Params { return m.base }

// LoRAParams are A and B of every target.
func (m *Model) LoRAParams() tensor.Params { return m.lora }

// GateParams are the gates' angles, one per gated layer.
func (m *Model) GateParams() tensor.Params { return m.gates }

// Release gives the model's memory back.
func (m *Model) Release() {
	for _, ps := range []tensor.Params{m.base, m.lora, m.gates} {
		for _, p := range ps {
			tensor.ReleaseParam(p)
		}
	}
	for _, w := range m.frozen {
		m.be.ReleaseWeight(w)
	}
	for _, b := range m.gains {
		m.be.Release(b)
	}
	m.rope.release(m.be)
}

// nameHash is FNV-1a: the same name, the same stream of random numbers.
func nameHash(name string) uint64 {
	h := fnv.New64a()
	h.Write([]byte(name))
	return h.Sum64()
}

// hash mixes words (splitmix64's finaliser after each).
func hash(words ...uint64) uint64 {
	var h uint64
	for _, w := range words {
		h += w + 0x9e3779b97f4a7c15
		h = (h ^ h>>30) * 0xbf58476d1ce4e5b9
		h = (h ^ h>>27) * 0x94d049bb133111eb
		h ^= h >> 31
	}
	return h
}
