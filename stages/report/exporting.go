package report

import (
	"fmt"
	"strings"
)

// addBake shows the proof that the folded model is the trained one.
func addBake(d *document, c Config) error {
	if c.Bake == "" {
		d.add("Bake", d.notRun("bake"))
		return nil
	}
	var r struct {
		LayersFolded  int `json:"layers_folded"`
		ModulesMerged int `json:"modules_merged"`
		DType         string
		CastError     float64 `json:"cast_error"`
		MergedOnto    *struct {
			Base, Reason   string
			Tokens         int      `json:"validation_tokens"`
			NLLOriginal    *float64 `json:"nll_original"`
			NLLDequantised *float64 `json:"nll_dequantised"`
		} `json:"merged_onto"`
		Proof struct {
			Positions      int
			MaxError       float64 `json:"max_error"`
			RelativeError  float64 `json:"relative_error"`
			WithoutAdapter float64 `json:"without_adapter"`
		}
		Layers []struct {
			Layer         int
			Orthogonality float64 `json:"orthogonality_error"`
			MeanAngle     float64 `json:"mean_angle"`
			MaxAngle      float64 `json:"max_angle"`
		}
	}
	s, err := d.open("bake", "report", c.Bake, &r)
	if err != nil {
		return err
	}
	t := &table{heading: []string{"Layer", "Mean angle (rad)", "Largest angle", "|RᵀR − I|"}}
	for _, l := range r.Layers {
		p := fmt.Sprintf("layer%d.", l.Layer)
		t.row(text("%d", l.Layer), s.number(p+"mean_angle", l.MeanAngle, "%.3f"), s.number(p+"max_angle", l.MaxAngle, "%.3f"), s.number(p+"orthogonality_error", l.Orthogonality, "%.1e"))
	}
	blocks := []block{
		paragraph(cell{state: passed}, text(" — LoRA merged in "), s.count("modules_merged", r.ModulesMerged), text(" projections, "), s.count("layers_folded", r.LayersFolded),
			text(" gates folded. Over "), s.count("positions", r.Proof.Positions), text(" positions the logits of the baked model differ from the trained one by at most "),
			s.number("max_error", r.Proof.MaxError, "%.1e"), text(" ("), s.number("relative_error", r.Proof.RelativeError, "%.1e"),
			text(" of their range); without the adapter they differ by "), s.number("without_adapter", r.Proof.WithoutAdapter, "%.3g"),
			text(". Casting to %s changes the weights by ", r.DType), s.number("cast_error", r.CastError, "%.1e"), text(" (relative).")),
	}
	if o := r.MergedOnto; o != nil {
		cells := []cell{text("Merged onto the %s base: %s.", o.Base, strings.TrimSuffix(o.Reason, "."))}
		if o.NLLOriginal != nil && o.NLLDequantised != nil {
			cells = append(cells, text(" Validation NLL on "), s.count("merged_onto.validation_tokens", o.Tokens), text(" tokens: original "), s.number("merged_onto.nll_original", *o.NLLOriginal, "%.5f"),
				text(", dequantised "), s.number("merged_onto.nll_dequantised", *o.NLLDequantised, "%.5f"), text(" nats a token."))
		}
		blocks = append(blocks, paragraph(cells...))
	}
	d.add("Bake", append(blocks, block{table: t})...)
	return nil
}

// addGGUF shows the exported files.
func addGGUF(d *document, c Config) error {
	t := &table{heading: []string{"Stage", "Type", "Size (bytes)", "Bits a weight", "Relative error of the weights", "KL (nats)", "KL at most", "Same top", "Same top at least"}}
	for _, name := range names(c.GGUF) {
		if c.GGUF[name] == "" {
			t.row(text("%s", name), d.stateOf(name, ""), text(""), text(""), text(""), text(""), text(""), text(""), text(""))
			continue
		}
		var r struct {
			Type          string
			Bytes         int
			BitsPerWeight float64 `json:"bits_per_weight"`
			WeightError   float64 `json:"weight_error"`
			Divergence    *struct {
				MeanKL  float64 `json:"mean_kl"`
				MaxKL   float64 `json:"kl_limit"`
				SameTop float64 `json:"same_top"`
				Least   float64 `json:"same_top_limit"`
			}
		}
		s, err := d.open(name, "report", c.GGUF[name], &r)
		if err != nil {
			return err
		}
		kl, limit, top, least := text("not measured"), text(""), text(""), text("")
		if v := r.Divergence; v != nil {
			kl, limit, top = s.number("divergence.mean_kl", v.MeanKL, "%.2g"), s.number("divergence.kl_limit", v.MaxKL, "%.2g"), s.number("divergence.same_top", v.SameTop, "%.4f")
			least = s.number("divergence.same_top_limit", v.Least, "%.2f")
		}
		t.row(text("%s", name), text("%s", r.Type), s.count("bytes", r.Bytes), s.number("bits_per_weight", r.BitsPerWeight, "%.2f"), s.number("weight_error", r.WeightError, "%.1e"), kl, limit, top, least)
	}
	if len(t.rows) == 0 {
		d.add("GGUF files", d.notRun("gguf"))
		return nil
	}
	d.add("GGUF files", block{table: t})
	return nil
}
