package modeltool

import (
	"math"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"testing"

	"github.com/so8t/so8t/stages/internal/safetensors"
	"github.com/so8t/so8t/stages/internal/so8t"
)

func join(ids []int32) string {
	var texts []string
	for _, id := range ids {
		texts = append(texts, strconv.Itoa(int(id)))
	}
	return strings.Join(texts, ",")
}

// logitsOf calls the tool and reads what it wrote: [T, V].
func logitsOf(t *testing.T, args ...string) ([]float32, []int) {
	t.Helper()
	out := filepath.Join(t.TempDir(), "logits.safetensors")
	must(t, "", append([]string{"logits", "--out", out}, args...)...)
	set, err := safetensors.Open(out)
	if err != nil {
		t.Fatal(err)
	}
	defer set.Close()
	info, ok := set.Info("logits")
	if !ok || info.DType != safetensors.F32 {
		t.Fatalf("no f32 tensor `logits`: %v", info)
	}
	v, err := set.Floats("logits")
	if err != nil {
		t.Fatal(err)
	}
	return v, info.Shape
}

func maxDifference(a, b []float32) float64 {
	worst := 0.0
	for i := range a {
		worst = max(worst, math.Abs(float64(a[i])-float64(b[i])))
	}
	return worst
}

// testdata/logits.safetensors holds the last (up to 4) positions of each prompt as transformers
// computes them in float32, logits_q4_k_m.safetensors those on the weights that llama.cpp's Q4_K_M
// file holds; between two float32 forwards 1e-4 is rounding.
func TestLogits_EqualTransformers(t *testing.T) {
	// BF16 is the folder's own type: nothing is lost.
	equalLogits(t, "testdata/logits.safetensors", tinyHF, ggufOf(t, "BF16"))
	equalLogits(t, "testdata/logits_q4_k_m.safetensors", ggufOf(t, "Q4_K_M"))
}

func equalLogits(t *testing.T, file string, models ...string) {
	t.Helper()
	var prompts map[string][]int32
	read(t, "testdata/logits.json", &prompts)
	want, err := safetensors.Open(file)
	if err != nil {
		t.Fatal(err)
	}
	defer want.Close()
	if len(prompts) != 5 || len(want.Names()) != 5 {
		t.Fatalf("%d prompts, %d tensors", len(prompts), len(want.Names()))
	}
	for name, ids := range prompts {
		w, err := want.Floats(name)
		if err != nil {
			t.Fatal(err)
		}
		for _, path := range models {
			got, shape := logitsOf(t, path, "--ids", join(ids))
			if len(shape) != 2 || shape[0] != len(ids) || shape[1] != 2080 {
				t.Fatalf("%s: shape %v", name, shape)
			}
			if d := maxDifference(got[len(got)-len(w):], w); d > 1e-4 {
				t.Errorf("%s of %s: max |Δ| %g", name, filepath.Base(path), d)
			}
		}
	}
}

func TestLogits_LastIsTheLastRow(t *testing.T) {
	const ids = "2037,934,935,906"
	all, _ := logitsOf(t, tinyHF, "--ids", ids)
	last, shape := logitsOf(t, tinyHF, "--ids", ids, "--last")
	if shape[0] != 1 || len(last) != 2080 {
		t.Fatalf("shape %v", shape)
	}
	if d := maxDifference(last, all[3*2080:]); d > 1e-5 {
		t.Errorf("max |Δ| %g", d)
	}
}

// A folder may lack a tokenizer: logits need none.
func TestLogits_FolderWithoutTokenizer(t *testing.T) {
	set, err := safetensors.Open("../internal/phi3/testdata/logits.safetensors")
	if err != nil {
		t.Fatal(err)
	}
	defer set.Close()
	ids, err := set.Ints("phi3.seq7.ids")
	if err != nil {
		t.Fatal(err)
	}
	var list []int32
	for _, id := range ids {
		list = append(list, int32(id))
	}
	got, shape := logitsOf(t, noTokenizer, "--ids", join(list))
	tops, err := set.Ints("phi3.seq7.argmax")
	if err != nil {
		t.Fatal(err)
	}
	for i, want := range tops {
		row := got[i*shape[1]:][:shape[1]]
		if top := slices.Index(row, slices.Max(row)); int64(top) != want {
			t.Errorf("position %d: top %d, want %d", i, top, want)
		}
	}
}

// An adapter folder that holds gates alone changes the result, and zero gates do not.
func TestLogits_AdapterBringsItsGates(t *testing.T) {
	const ids = "2037,934,935,906"
	base, _ := logitsOf(t, tinyHF, "--ids", ids)
	for _, c := range []struct {
		angle   float32
		changes bool
	}{{0, false}, {0.3, true}} {
		dir := t.TempDir()
		theta := make([]float32, 256/so8t.Block*so8t.Params)
		for i := range theta {
			theta[i] = c.angle
		}
		a := &so8t.Adapter{Gates: &so8t.Gates{Hidden: 256, Layers: []so8t.Gate{{Layer: 1, Theta: theta}}}}
		if err := so8t.WriteAdapter(dir, a); err != nil {
			t.Fatal(err)
		}
		got, _ := logitsOf(t, tinyHF, "--ids", ids, "--adapter", dir)
		if d := maxDifference(got, base); (d > 1e-2) != c.changes || !c.changes && d > 1e-4 {
			t.Errorf("angle %v: max |Δ| %g", c.angle, d)
		}
	}
}

func TestLogits_UnwritableTargetIsAnError(t *testing.T) {
	out := filepath.Join(t.TempDir(), "no", "file")
	if _, _, err := call(t, "", "logits", tinyHF, "--ids", "1", "--out", out); err == nil {
		t.Error("no error")
	}
	if _, err := os.Stat(out); err == nil {
		t.Error("a file was left")
	}
}
