package tokenizer

import (
	"bytes"
	"os"
	"slices"
	"strings"
	"testing"
)

func trained(t testing.TB, text string, c TrainConfig) (*Tokenizer, []byte) {
	t.Helper()
	raw, err := Train(text, c)
	if err != nil {
		t.Fatal(err)
	}
	tok, err := Parse(raw)
	if err != nil {
		t.Fatal(err)
	}
	return tok, raw
}

// slowTrain is the definition: count everything again after each merge.
func slowTrain(text string, size int) []string {
	var words [][]string
	for _, p := range (&Tokenizer{split: splitO200k}).Pieces(text) {
		var w []string
		for i := range len(p) {
			w = append(w, p[i:i+1])
		}
		words = append(words, w)
	}
	tokens := newTrainer(0).tokens
	for len(tokens) < size {
		counts := map[[2]string]int{}
		for _, w := range words {
			for i := 1; i < len(w); i++ {
				counts[[2]string{w[i-1], w[i]}]++
			}
		}
		best, most := [2]string{}, 1
		for p, n := range counts {
			l, r := slices.Index(tokens, p[0]), slices.Index(tokens, p[1])
			bl, br := slices.Index(tokens, best[0]), slices.Index(tokens, best[1])
			if n > most || n == most && n > 1 && (l < bl || l == bl && r < br) {
				best, most = p, n
			}
		}
		if most < 2 {
			break
		}
		tokens = append(tokens, best[0]+best[1])
		for i, w := range words {
			var merged []string
			for k := 0; k < len(w); k++ {
				if k+1 < len(w) && w[k] == best[0] && w[k+1] == best[1] {
					merged = append(merged, w[k]+w[k+1])
					k++
				} else {
					merged = append(merged, w[k])
				}
			}
			words[i] = merged
		}
	}
	return tokens
}

func TestTrain_SameMergesAsTheDefinition(t *testing.T) {
	text := strings.Repeat("aaaa aaa aaaaaaa abab ababab ", 3) +
		"港の荷役計画とは何か。船の入港時刻と岸壁の空きに合わせて積み降ろしの順番を決める作業です。\n荷役計画は港で決める。入港時刻は船で決まる。\n"
	for _, size := range []int{260, 280, 320} {
		tok, _ := trained(t, text, TrainConfig{Size: size})
		want := slowTrain(text, size)
		if got := tok.pieces; !slices.Equal(got, want) {
			t.Errorf("size %d: %q, want %q", size, got[256:], want[256:])
		}
	}
}

func TestTrain_KeptTexts_OneTokenAPiece(t *testing.T) {
	text := strings.Repeat("荷役計画はいつ確定しますか。ALLOWではない。\n", 50)
	control := []string{"<|endoftext|>", "<|end|>"}
	tok, raw := trained(t, text, TrainConfig{Size: 300, Added: control, Keep: []string{"判定: ALLOW\n", "判定: ESCALATION\n", "判定: DENY\n"}, MaxBytes: 12})
	for _, label := range []string{"ALLOW", "ESCALATION", "DENY"} {
		if ids := tok.Encode("判定: " + label + "\n"); len(ids) != 4 {
			t.Errorf("%s: %v", label, ids)
		}
	}
	for _, p := range tok.pieces[:tok.Size()-len(control)] {
		if len(p) > 12 {
			t.Errorf("token %q has %d bytes", p, len(p))
		}
	}
	for i, c := range control {
		if id, ok := tok.AddedID(c); !ok || int(id) != tok.Size()-len(control)+i {
			t.Errorf("%s: id %d", c, id)
		}
	}
	if tok.Size() != 300 {
		t.Errorf("%d tokens", tok.Size())
	}
	_, again := trained(t, text, TrainConfig{Size: 300, Added: control, Keep: []string{"判定: ALLOW\n", "判定: ESCALATION\n", "判定: DENY\n"}, MaxBytes: 12})
	if !bytes.Equal(raw, again) {
		t.Error("the same text gave other bytes")
	}
}

func TestTrain_TooSmall_Refused(t *testing.T) {
	if _, err := Train("x", TrainConfig{Size: 256, Added: []string{"<|end|>"}}); err == nil {
		t.Error("no error")
	}
	if _, err := Train("", TrainConfig{Size: 300}); err == nil {
		t.Error("no error")
	}
}

// testdata/train was made by Hugging Face tokenizers 0.23.3: BpeTrainer, 900 tokens, the
// same pattern.
func TestTrain_SameMergesAsHuggingFace(t *testing.T) {
	text, err := os.ReadFile("testdata/train/text.txt")
	if err != nil {
		t.Fatal(err)
	}
	var want [][2]string
	readJSON(t, "testdata/train/merges.json", &want)
	tok, _ := trained(t, string(text), TrainConfig{Size: 900})
	got := tok.Merges()
	for i := range min(len(got), len(want)) {
		if got[i] != want[i] {
			t.Fatalf("merge %d: %q, want %q", i, got[i], want[i])
		}
	}
	if len(got) != len(want) || len(got) != 900-256 {
		t.Errorf("%d merges, want %d", len(got), len(want))
	}
}
