package modeltool

import (
	"encoding/json"
	"math"
	"path/filepath"
	"strings"
	"testing"

	"github.com/so8t/so8t/stages/internal/divergence"
)

// Figures of transformers in float32 on the same weights, summed in float64, for the first 12
// chunks of the text.
func TestKL_EqualsTransformers(t *testing.T) {
	const (
		perplexity     = 8.58520784529614
		ofPerplexity   = 1e-6 // of the scored positions' rounding little is left in the mean
		ofKL           = 1e-3 // a difference of nearly equal numbers
		chunks, scored = 12, 12 * 255
	)
	for typ, want := range map[string]struct{ perplexity, kl, p99, max, sameTop float64 }{
		"Q8_0":   {8.58220070299856, 2.0125056037453372e-05, 0.0002800050733124391, 0.004069605826660229, 0.9934640522875817},
		"Q6_K":   {8.593404919427549, 0.0003634067114753041, 0.007357187208472142, 0.023568353537501543, 0.9911764705882353},
		"Q5_K_M": {8.60776590824618, 0.0006954224893147551, 0.0158170050868065, 0.06164475639597341, 0.9882352941176471},
		"Q4_K_M": {8.641277330682989, 0.0019238834767720027, 0.04039103182997315, 0.5828051335140089, 0.9830065359477124},
	} {
		var r divergence.Report
		parse(t, must(t, "", "kl", tinyHF, ggufOf(t, typ), "--file", "testdata/heldout.txt", "--chunks", "12", "--json"), &r)
		if r.Chunks != chunks || r.Positions != scored {
			t.Errorf("%s: %d chunks, %d positions, want %d, %d", typ, r.Chunks, r.Positions, chunks, scored)
		}
		for _, c := range []struct {
			name                 string
			got, want, tolerance float64
		}{
			{"perplexity of the reference", r.Reference.Perplexity, perplexity, ofPerplexity},
			{"perplexity", r.Candidate.Perplexity, want.perplexity, ofPerplexity},
			{"mean KL", r.MeanKL, want.kl, ofKL},
			{"99 % KL", r.P99KL, want.p99, ofKL},
			{"max KL", r.MaxKL, want.max, ofKL},
			{"same top", r.SameTop, want.sameTop, 1e-12},
		} {
			if !near(c.got, c.want, c.tolerance) {
				t.Errorf("%s, %s: %v, want %v within %g of it", typ, c.name, c.got, c.want, c.tolerance)
			}
		}
	}
}

func TestKL_OfAModelFromItselfIsZero(t *testing.T) {
	var r divergence.Report
	parse(t, must(t, "", "kl", tinyHF, ggufOf(t, "BF16"), "--file", "testdata/heldout.txt", "--chunks", "1", "--json"), &r)
	if math.Abs(r.MeanKL) > 1e-9 || r.SameTop != 1 {
		t.Errorf("%+v", r)
	}
}

// Ids that mean other texts cannot be compared, whatever the vocabularies' sizes.
func TestKL_OtherTokenizerIsRefused(t *testing.T) {
	var tokenizer map[string]any
	read(t, filepath.Join(tinyHF, "tokenizer.json"), &tokenizer)
	model := tokenizer["model"].(map[string]any)
	model["merges"] = model["merges"].([]any)[:100]
	text, err := json.Marshal(tokenizer)
	if err != nil {
		t.Fatal(err)
	}
	other := copyFolder(t, map[string]string{"tokenizer.json": string(text)})
	if _, _, err := call(t, "", "kl", tinyHF, other, "--file", "testdata/heldout.txt"); err == nil || !strings.Contains(err.Error(), "tokenizers disagree") {
		t.Errorf("%v", err)
	}
}
