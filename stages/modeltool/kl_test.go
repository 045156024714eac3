package modeltool

import (
	"encoding/json"
	"math"
	"path/filepath"
	"strings"
	"testing"
)

// Figures of transformers in float32 on the same weights, summed in float64, for the first 12
// chunks of the text.
func TestKL_EqualsTransformers(t *testing.T) {
	const (
		perplexity     = 8.58520784529614
		perplexityQ8   = 8.58220070299856
		klQ8           = 2.0125056037453372e-05
		p99Q8          = 0.0002800050733124391
		maxQ8          = 0.004069605826660229
		sameTopQ8      = 0.9934640522875817
		ofPerplexity   = 1e-6 // of the scored positions' rounding little is left in the mean
		ofKL           = 1e-3 // a difference of nearly equal numbers
		chunks, scored = 12, 12 * 255
	)
	var r klReport
	parse(t, must(t, "", "kl", tinyHF, ggufOf(t, "Q8_0"), "--file", "testdata/heldout.txt", "--chunks", "12", "--json"), &r)
	if r.Chunks != chunks || r.Positions != scored {
		t.Errorf("%d chunks, %d positions, want %d, %d", r.Chunks, r.Positions, chunks, scored)
	}
	for _, c := range []struct {
		name                 string
		got, want, tolerance float64
	}{
		{"perplexity", r.Reference.Perplexity, perplexity, ofPerplexity},
		{"perplexity of Q8_0", r.Candidate.Perplexity, perplexityQ8, ofPerplexity},
		{"mean KL", r.MeanKL, klQ8, ofKL},
		{"99 % KL", r.P99KL, p99Q8, ofKL},
		{"max KL", r.MaxKL, maxQ8, ofKL},
		{"same top", r.SameTop, sameTopQ8, 1e-12},
	} {
		if !near(c.got, c.want, c.tolerance) {
			t.Errorf("%s: %v, want %v within %g of it", c.name, c.got, c.want, c.tolerance)
		}
	}
}

func TestKL_OfAModelFromItselfIsZero(t *testing.T) {
	var r klReport
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

// By hand: p = (1/2, 1/4, 1/4), q = (1/4, 1/2, 1/4): KL = ln 2 / 4.
func TestKLTotals_ByHand(t *testing.T) {
	ln := func(x float64) float32 { return float32(math.Log(x)) }
	var totals klTotals
	totals.add([]float32{7 + ln(.5), 7 + ln(.25), 7 + ln(.25)}, []float32{ln(.25), ln(.5), ln(.25)}, 1)
	r := totals.report()
	if math.Abs(r.MeanKL-math.Ln2/4) > 1e-6 || math.Abs(r.Reference.Perplexity-4) > 1e-5 || math.Abs(r.Candidate.Perplexity-2) > 1e-5 || r.SameTop != 0 {
		t.Errorf("%+v", r)
	}
}
