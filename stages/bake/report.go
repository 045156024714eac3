package bake

import (
	"github.com/so8t/so8t/plugins"
	"github.com/so8t/so8t/stages/internal/baked"
	"github.com/so8t/so8t/stages/internal/so8t"
)

// Report is bake_report.json.
type Report struct {
	LayersFolded  int           `json:"layers_folded"`
	ModulesMerged int           `json:"modules_merged"`
	Proof         Proof         `json:"proof"`
	Layers        []LayerReport `json:"layers"`
	// CastError is the relative root mean square of what the cast to the written type changed,
	// over the tensors that were computed; the others are copied.
	CastError float64 `json:"cast_error"`
	baked.Recipe
}

// LayerReport is one folded gate.
type LayerReport struct {
	Layer         int     `json:"layer"`
	Orthogonality float64 `json:"orthogonality_error"` // max |RᵀR − I|
	Determinant   float64 `json:"determinant_error"`   // max |det R − 1|
	MeanAngle     float64 `json:"mean_angle"`          // radians
	MaxAngle      float64 `json:"max_angle"`
}

// maxOrthogonality is far above what a Cayley map leaves in float64: about 1e-15.
const maxOrthogonality = 1e-9

// layerReports measures the gates. One that is no rotation is refused: it would change lengths,
// which a proof that compares it with itself cannot see.
func layerReports(gates *so8t.Gates) ([]LayerReport, error) {
	list := []LayerReport{}
	if gates == nil {
		return list, nil
	}
	for _, gate := range gates.Layers {
		o, angles := so8t.CheckOrthogonality(so8t.Rotations(gate.Theta)), so8t.MeasureAngles(gate.Theta)
		if !(o.MaxError <= maxOrthogonality && o.DetError <= maxOrthogonality) {
			return nil, plugins.Errorf(plugins.BadInput, "gate of layer %d is no rotation: |RᵀR − I| is %.3g, |det R − 1| %.3g, more than %.3g",
				gate.Layer, o.MaxError, o.DetError, maxOrthogonality)
		}
		list = append(list, LayerReport{gate.Layer, o.MaxError, o.DetError, angles.Mean, angles.Max})
	}
	return list, nil
}

// checkCounts compares what was done with what there was to do.
func (r Report) checkCounts(a *so8t.Adapter) error {
	gates, modules := 0, 0
	if a.Gates != nil {
		gates = len(a.Gates.Layers)
	}
	if a.LoRA != nil {
		modules = len(a.LoRA.Modules)
	}
	if r.LayersFolded != gates || r.ModulesMerged != modules {
		return plugins.Errorf(plugins.Gate, "%d of %d gates were folded and %d of %d modules merged", r.LayersFolded, gates, r.ModulesMerged, modules)
	}
	return nil
}

// metrics are the figures of the run, and of the folder if one was written.
func (r Report) metrics(folder bool) map[string]float64 {
	m := map[string]float64{
		"layers_folded": float64(r.LayersFolded), "modules_merged": float64(r.ModulesMerged),
		"max_error": r.Proof.MaxError, "relative_error": r.Proof.RelativeError,
	}
	if folder {
		m["written_relative_error"], m["cast_error"] = r.Proof.WrittenRelativeError, r.CastError
	}
	for _, layer := range r.Layers {
		m["orthogonality_error"] = max(m["orthogonality_error"], layer.Orthogonality)
	}
	if r.MergedOnto.NLLOriginal != nil {
		m["nll_original"], m["nll_dequantised"] = *r.MergedOnto.NLLOriginal, *r.MergedOnto.NLLDequantised
	}
	return m
}
