package so8t

import "math"

// LoRA is a low-rank adapter: per target module y += Scale·(x·Aᵀ)·Bᵀ.
type LoRA struct {
	Rank     int
	Alpha    float64
	RankStab bool    // rsLoRA: scale alpha/√r instead of alpha/r
	Dropout  float64 // used in training only
	Targets  []string
	// Base names the model the adapter belongs to; never a path.
	Base    string
	Modules []Module // in the order of the model's forward pass
}

// Module is the adapter of one projection.
type Module struct {
	Path    string // "model.layers.0.self_attn.qkv_proj"
	In, Out int
	A       []float32 // [Rank, In]
	B       []float32 // [Out, Rank]
}

// Scale is what B·A is multiplied by.
func (l *LoRA) Scale() float64 {
	if l.RankStab {
		return l.Alpha / math.Sqrt(float64(l.Rank))
	}
	return l.Alpha / float64(l.Rank)
}

// Find returns the adapter of a module, or nil.
func (l *LoRA) Find(path string) *Module {
	if l == nil {
		return nil
	}
	for i := range l.Modules {
		if l.Modules[i].Path == path {
			return &l.Modules[i]
		}
	}
	return nil
}

// Gates are the gates of a model, one per gated layer, layers ascending.
type Gates struct {
	Hidden int
	Layers []Gate
}

// Gate is one layer's: Theta [Hidden/8 · 28].
type Gate struct {
	Layer int
	Theta []float32
}

// Find returns the parameters of a layer's gate, or nil.
func (g *Gates) Find(layer int) []float32 {
	if g == nil {
		return nil
	}
	for _, gate := range g.Layers {
		if gate.Layer == layer {
			return gate.Theta
		}
	}
	return nil
}

// Adapter is what training a frozen base produces. Either part may be nil.
type Adapter struct {
	LoRA  *LoRA
	Gates *Gates
}

// WithoutGates is the same adapter with its gates at the identity.
func (a *Adapter) WithoutGates() *Adapter {
	if a == nil {
		return nil
	}
	return &Adapter{LoRA: a.LoRA}
}

// Bytes is what the numbers take in memory.
func (a *Adapter) Bytes() (n int64) {
	const float = 4
	if a == nil {
		return 0
	}
	if a.LoRA != nil {
		for _, m := range a.LoRA.Modules {
			n += float * int64(len(m.A)+len(m.B))
		}
	}
	if a.Gates != nil {
		for _, g := range a.Gates.Layers {
			n += float * int64(len(g.Theta))
		}
	}
	return n
}
