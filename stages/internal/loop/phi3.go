package loop

import (
	"github.com/nlpodyssey/spago/mat"

	"github.com/so8t/so8t/stages/internal/backend"
	"github.com/so8t/so8t/stages/internal/phi3"
)

// Phi3 is a phi3.Model as the loop trains it.
type Phi3 struct {
	*phi3.Model
	groups []Group
}

var _ Model = (*Phi3)(nil)

// NewPhi3 trains the parameters of the groups.
func NewPhi3(m *phi3.Model, groups ...Group) *Phi3 { return &Phi3{Model: m, groups: groups} }

// Groups are the trained parameters.
func (m *Phi3) Groups() []Group { return m.groups }

// Parameters counts what is trained.
func (m *Phi3) Parameters() int {
	n := 0
	for _, g := range m.groups {
		for _, p := range g.Params {
			n += p.Tensor().Size()
		}
	}
	return n
}

// Losses records one pass.
func (m *Phi3) Losses(sc backend.Scope, p Pass) (ce, pet mat.Tensor, err error) {
	return m.Model.Losses(sc, phi3.Batch(p.Batch), phi3.Pass{CEScale: p.CEScale, PETScale: p.PETScale, Train: p.Train, Measure: !p.Train, Step: p.Step})
}
