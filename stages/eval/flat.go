package eval

// flat is what the stage reports as metrics: the contract's names. What is undefined (no DENY in
// the split, say) is left out rather than being 0.
func (r *Report) flat(s speeds) map[string]float64 {
	out := map[string]float64{"rows": float64(r.N)}
	put := func(name string, v *float64) {
		if v != nil {
			out[name] = *v
		}
	}
	for model, prefix := range map[string]string{tuned: "", base: base + "_", nogate: nogate + "_"} {
		m := r.Models[model]
		if m == nil {
			continue
		}
		for name, v := range map[string]float64{
			"accuracy": m.Accuracy, "macro_f1": m.MacroF1, "nll": m.NLL, "brier": m.Brier, "brier_top": m.BrierTop, "ece": m.ECE,
			"ece_mass": m.ECEMass, "mce": m.MCE, "classwise_ece": m.ClasswiseECE, "mean_confidence": m.MeanConfidence,
			"decision_accuracy": m.Decision.Accuracy, "ece_after": m.After.ECE, "nll_after": m.After.NLL,
		} {
			out[prefix+name] = v
		}
		put(prefix+"false_allow_rate", m.FalseAllowRate)
		put(prefix+"deny_recall", m.DenyRecall)
		put(prefix+"decision_false_allow_rate", m.Decision.FalseAllowRate)
	}
	if r.Majority != nil {
		out["majority_accuracy"] = r.Majority.Accuracy
		out["ngram_accuracy"] = r.Ngram.Accuracy
		put("ngram_false_allow_rate", r.Ngram.FalseAllowRate)
	}
	for _, other := range []string{base, nogate} {
		if c, ok := r.Comparisons[other]; ok {
			out["mcnemar_p_"+other] = c.McNemarP
		}
	}
	if r.Generated > 0 {
		out["output_agreement"] = float64(r.Agree) / float64(r.Generated)
	}
	if s.decode > 0 {
		out["decode_tokens_per_second"] = s.decode
	}
	if n := len(r.Longform); n > 0 {
		oscillating := 0
		for _, l := range r.Longform {
			if l.Oscillation {
				oscillating++
			}
		}
		out["oscillation_rate"] = float64(oscillating) / float64(n)
	}
	if s.prefill > 0 {
		out["prefill_tokens_per_second"] = s.prefill
	}
	return out
}
