package train

import (
	"github.com/so8t/so8t/stages/internal/backend"
	"github.com/so8t/so8t/stages/internal/loop"
	"github.com/so8t/so8t/stages/internal/phi3"
	"github.com/so8t/so8t/stages/internal/so8t"
	"github.com/so8t/so8t/stages/internal/tensor"
)

// newModel puts LoRA and gates beside a frozen base, fresh ones or, when from is not nil, those of an
// adapter.
func newModel(be backend.Backend, w *phi3.Weights, c Config, from *so8t.Adapter, longest int) (*loop.Phi3, error) {
	m, err := phi3.NewAdapterModel(be, w, phi3.TrainOptions{MaxLen: longest, Recompute: c.Recompute, Seed: c.Seed}, c.adapter(from))
	if err != nil {
		return nil, err
	}
	var groups []loop.Group
	if ps := m.LoRAParams(); len(ps) > 0 {
		groups = append(groups, loop.Group{Name: "lora", Params: ps, LRScale: 1, Decay: c.WeightDecay, Clip: "shared"})
	}
	if ps := m.GateParams(); len(ps) > 0 {
		clip := "shared"
		if c.Gate.Clip == "own" {
			clip = loop.ClipGate
		}
		// No decay: it would pull the rotation back to the identity.
		groups = append(groups, loop.Group{Name: "gate", Params: ps, LRScale: c.Gate.LRScale, Clip: clip})
	}
	return loop.NewPhi3(m, groups...), nil
}

// angles are the gates' rotation angles over all gated layers, in radians.
func angles(be backend.Backend, m *loop.Phi3) (mean, most float64) {
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
