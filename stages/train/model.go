package train

import (
	"github.com/nlpodyssey/spago/mat"

	"github.com/so8t/so8t/stages/internal/backend"
	"github.com/so8t/so8t/stages/internal/loop"
	"github.com/so8t/so8t/stages/internal/phi3"
	"github.com/so8t/so8t/stages/internal/so8t"
	"github.com/so8t/so8t/stages/internal/tensor"
)

// model is what the loop trains: LoRA and gates beside a frozen base.
type model struct {
	*phi3.Model
	groups []loop.Group
}

var _ loop.Model = (*model)(nil)

func newModel(be backend.Backend, w *phi3.Weights, c Config, longest int) (*model, error) {
	m, err := phi3.NewAdapterModel(be, w, phi3.TrainOptions{MaxLen: longest, Recompute: c.Recompute, Seed: c.Seed}, c.adapter())
	if err != nil {
		return nil, err
	}
	out := &model{Model: m}
	if ps := m.LoRAParams(); len(ps) > 0 {
		out.groups = append(out.groups, loop.Group{Name: "lora", Params: ps, LRScale: 1, Decay: c.WeightDecay, Clip: "shared"})
	}
	if ps := m.GateParams(); len(ps) > 0 {
		clip := "shared"
		if c.Gate.Clip == "own" {
			clip = loop.ClipGate
		}
		// No decay: it would pull the rotation back to the identity.
		out.groups = append(out.groups, loop.Group{Name: "gate", Params: ps, LRScale: c.Gate.LRScale, Clip: clip})
	}
	return out, nil
}

// Groups are LoRA's matrices and the gates' angles.
func (m *model) Groups() []loop.Group { return m.groups }

// Losses records one pass.
func (m *model) Losses(sc backend.Scope, p loop.Pass) (ce, pet mat.Tensor, err error) {
	return m.Model.Losses(sc, phi3.Batch(p.Batch), phi3.Pass{CEScale: p.CEScale, PETScale: p.PETScale, Train: p.Train, Step: p.Step})
}

// parameters counts what is trained.
func (m *model) parameters() int {
	n := 0
	for _, g := range m.groups {
		for _, p := range g.Params {
			n += p.Tensor().Size()
		}
	}
	return n
}

// angles are the gates' rotation angles over all gated layers, in radians.
func (m *model) angles(be backend.Backend) (mean, most float64) {
	gates := m.GateParams()
	for _, p := range gates {
		a := so8t.MeasureAngles(download(be, p))
		mean += a.Mean / float64(len(gates))
		most = max(most, a.Max)
	}
	return mean, most
}

func download(be backend.Backend, p tensor.Param) []float32 {
	h := make([]float32, p.Tensor().Size())
	be.Download(h, p.Tensor().Buffer())
	return h
}
