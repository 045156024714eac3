package synthetic

import (
	"crypto/sha256"
	"io"
	"math"
	"os"
	"path/filepath"
	"testing"

	"github.com/so8t/so8t/stages/internal/chat"
	"github.com/so8t/so8t/stages/internal/phi3"
	"github.com/so8t/so8t/stages/internal/so8t"
)

// small is Phi-4-mini with less of everything.
func small() *phi3.Config {
	c := phi3.Phi4Mini()
	c.Hidden, c.Layers, c.Heads, c.KVHeads, c.HeadDim, c.Intermediate, c.Vocab = 128, 2, 4, 2, 32, 256, 2080
	c.BOS, c.EOS, c.Pad, c.Rope = c.Vocab-endOfText, []int{c.Vocab - endOfText}, c.Vocab-endOfText, nil
	return c
}

func written(t *testing.T, c *phi3.Config, seed uint64) string {
	t.Helper()
	dir := t.TempDir()
	if err := WriteFolder(dir, c, seed); err != nil {
		t.Fatal(err)
	}
	return dir
}

func TestWriteFolder_IsAModel(t *testing.T) {
	c := small()
	dir := written(t, c, 1)
	f, err := phi3.OpenFolder(dir)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	if f.Config.Parameters() != c.Parameters() || f.Config.DType != "bfloat16" {
		t.Errorf("%d parameters of %s", f.Config.Parameters(), f.Config.DType)
	}
	for name, want := range map[string][2]float64{
		"model.embed_tokens.weight": {0, 0.02}, "model.norm.weight": {1, spread}, "model.layers.1.self_attn.o_proj.weight": {0, 0.01},
	} {
		shape, _ := f.Shape(name)
		n := 1
		for _, d := range shape {
			n *= d
		}
		x := make([]float32, n)
		if err := f.ReadFloats(name, 0, x); err != nil {
			t.Fatal(err)
		}
		var sum, squares float64
		for _, v := range x {
			sum += float64(v)
			squares += float64(v) * float64(v)
		}
		mean := sum / float64(n)
		std := math.Sqrt(squares/float64(n) - mean*mean)
		if slack := 5 * want[1] / math.Sqrt(float64(n)); math.Abs(mean-want[0]) > slack || math.Abs(std-want[1]) > slack {
			t.Errorf("%s: mean %v, deviation %v, want %v", name, mean, std, want)
		}
	}
}

func TestWriteFolder_SpeaksPhi4Mini(t *testing.T) {
	c := small()
	template, err := chat.Open(written(t, c, 1))
	if err != nil {
		t.Fatal(err)
	}
	ids, err := template.Prompt([]chat.Message{{Role: "user", Content: "港 and sea"}})
	if err != nil || template.Tokenizer().Decode(ids) != "<|user|>港 and sea<|end|><|assistant|>" {
		t.Errorf("%v, %v", ids, err)
	}
	for token, id := range map[string]int32{chat.EndOfText: 2015, "<|endofprompt|>": 2034, chat.User: 2037, "<|tag|>": 2044} {
		if got, _ := template.Tokenizer().AddedID(token); got != id {
			t.Errorf("%s is %d, want %d", token, got, id)
		}
	}
}

// The vocabulary of the real size has the real ids.
func TestVocabulary_FullSize(t *testing.T) {
	if testing.Short() {
		t.Skip("builds 200,000 tokens")
	}
	dir, c := t.TempDir(), phi3.Phi4Mini()
	file, err := vocabulary(c.Vocab)
	if err == nil {
		err = os.WriteFile(filepath.Join(dir, "tokenizer.json"), file, 0o644)
	}
	if err != nil {
		t.Fatal(err)
	}
	template, err := chat.Open(dir)
	if err != nil {
		t.Fatal(err)
	}
	if got, _ := template.Tokenizer().AddedID(chat.EndOfText); int(got) != c.BOS {
		t.Errorf("%s is %d, config.json says %d", chat.EndOfText, got, c.BOS)
	}
	if ids := template.Tokenizer().Encode("港"); len(ids) != 1 {
		t.Errorf("a character is %v", ids)
	}
}

func TestWriteFolder_SameSeedSameBytes(t *testing.T) {
	sum := func(seed uint64) (s [sha256.Size]byte) {
		f, err := os.Open(filepath.Join(written(t, small(), seed), "model.safetensors"))
		if err != nil {
			t.Fatal(err)
		}
		defer f.Close()
		h := sha256.New()
		if _, err := io.Copy(h, f); err != nil {
			t.Fatal(err)
		}
		return [sha256.Size]byte(h.Sum(nil))
	}
	if a, b := sum(1), sum(1); a != b {
		t.Error("the same seed gives other bytes")
	}
	if a, b := sum(1), sum(2); a == b {
		t.Error("another seed gives the same bytes")
	}
}

func TestWriteAdapter_FitsTheModel(t *testing.T) {
	c, dir := small(), filepath.Join(t.TempDir(), "adapter")
	if err := WriteAdapter(dir, c, 4, 1); err != nil {
		t.Fatal(err)
	}
	a, err := so8t.ReadAdapter(dir)
	if err != nil {
		t.Fatal(err)
	}
	if err := phi3.CheckAdapter(c, a); err != nil {
		t.Error(err)
	}
	if len(a.LoRA.Modules) != 4*c.Layers || len(a.Gates.Layers) != c.Layers {
		t.Errorf("%d modules, %d gates", len(a.LoRA.Modules), len(a.Gates.Layers))
	}
}

// TestWrite_FullSize leaves a model and an adapter of Phi-4-mini's size in the folder that
// SO8T_FULLSIZE names, unless they are there.
func TestWrite_FullSize(t *testing.T) {
	dir := os.Getenv("SO8T_FULLSIZE")
	if dir == "" {
		t.Skip("set SO8T_FULLSIZE to a folder with 8.1 GB free: task fullsize:model")
	}
	if err := WriteFullSize(dir); err != nil {
		t.Fatal(err)
	}
}
