package gguf

import (
	"encoding/json"
	"math"
	"os"
	"path/filepath"
	"reflect"
	"strings"
	"testing"

	"github.com/so8t/so8t/plugins"
	"github.com/so8t/so8t/stages/internal/chat"
	"github.com/so8t/so8t/stages/internal/dataset"
	"github.com/so8t/so8t/stages/internal/quant"
	"github.com/so8t/so8t/stages/internal/so8t"
)

const text = "../modeltool/testdata/heldout.txt"

// attempt runs the stage on the tiny model.
func attempt(t *testing.T, with map[string]any) (Report, plugins.Result, error) {
	t.Helper()
	out := t.TempDir()
	with["model"] = model
	raw, err := json.Marshal(with)
	if err != nil {
		t.Fatal(err)
	}
	result, err := Stage{}.Run(t.Context(), &plugins.Attempt{With: raw, OutputDir: out})
	var r Report
	if b, readErr := os.ReadFile(filepath.Join(out, "gguf_report.json")); readErr == nil {
		if err := json.Unmarshal(b, &r); err != nil {
			t.Fatal(err)
		}
	}
	return r, result, err
}

// The figure is that of transformers on the weights of llama.cpp's Q4_K_M file (12 chunks).
func TestGate_MeasuresTheFile(t *testing.T) {
	const want = 0.0019238834767720027
	r, result, err := attempt(t, map[string]any{"type": "Q4_K_M", "heldout": text, "heldout_tokens": 12*512 + 500})
	if err != nil {
		t.Fatal(err)
	}
	d := r.Divergence
	if d == nil || math.Abs(d.MeanKL/want-1) > 1e-3 || d.Chunks != 12 || d.Limit != 1e-2 || math.Abs(d.PerplexityRatio-8.641277/8.585208) > 1e-5 {
		t.Errorf("%+v", d)
	}
	if d.MaxKL < 0.5 { // the largest of a position, not the limit
		t.Errorf("the largest KL is %v", d.MaxKL)
	}
	if result.Metrics["kl"] != d.MeanKL || result.Metrics["same_top"] != d.SameTop || result.Metrics["max_kl"] != 1e-2 {
		t.Errorf("metrics %v", result.Metrics)
	}
}

// The importance matrix brings the predictions nearer (0.00182 instead of 0.00192 in the fixture).
func TestRun_Imatrix(t *testing.T) {
	const importance = "../internal/modelfile/testdata/imatrix.gguf"
	r, _, err := attempt(t, map[string]any{"type": "Q4_K_M", "imatrix": importance, "heldout": text, "heldout_tokens": 12 * 512})
	if err != nil || r.Divergence.MeanKL > 0.0019 {
		t.Errorf("%v, %+v", err, r.Divergence)
	}
	if _, _, err := attempt(t, map[string]any{"type": "Q4_K_M", "imatrix": text}); plugins.CodeOf(err) != plugins.BadInput {
		t.Errorf("%v", err)
	}
}

func TestGate_RefusesOtherTops(t *testing.T) {
	_, result, err := attempt(t, map[string]any{"type": "Q4_0", "heldout": text, "heldout_tokens": 512, "max_kl": 1, "min_same_top": 0.999})
	if plugins.CodeOf(err) != plugins.Gate || !strings.Contains(err.Error(), "less than 99.90 %") || result.Metrics["min_same_top"] != 0.999 {
		t.Errorf("%v, metrics %v", err, result.Metrics)
	}
	for typ := range limits {
		if leastSameTop[typ] <= 0 {
			t.Errorf("%s has no limit", typ)
		}
	}
}

func TestGate_RefusesWithTheFigures(t *testing.T) {
	_, result, err := attempt(t, map[string]any{"type": "Q4_0", "heldout": text, "heldout_tokens": 512, "max_kl": 1e-5})
	if plugins.CodeOf(err) != plugins.Gate || !strings.Contains(err.Error(), "255 held-out positions, more than 1e-05") {
		t.Errorf("%v", err)
	}
	if result.Metrics["kl"] <= 1e-5 {
		t.Errorf("metrics %v", result.Metrics)
	}
}

// Against a base with an adapter that the model does not have in it, the file is another model.
func TestGate_ComparesWithBaseAndAdapter(t *testing.T) {
	for _, c := range []struct {
		angle float32
		code  plugins.Code
	}{{0, ""}, {0.5, plugins.Gate}} {
		dir := t.TempDir()
		theta := make([]float32, 256/so8t.Block*so8t.Params)
		for i := range theta {
			theta[i] = c.angle
		}
		a := &so8t.Adapter{Gates: &so8t.Gates{Hidden: 256, Layers: []so8t.Gate{{Layer: 1, Theta: theta}}}}
		if err := so8t.WriteAdapter(dir, a); err != nil {
			t.Fatal(err)
		}
		_, _, err := attempt(t, map[string]any{"type": "F16", "heldout": text, "heldout_tokens": 512, "base": model, "adapter": dir})
		if (err == nil) != (c.code == "") || err != nil && plugins.CodeOf(err) != c.code {
			t.Errorf("angle %v: %v", c.angle, err)
		}
	}
}

func TestGate_RowsOfADataset(t *testing.T) {
	path := filepath.Join(t.TempDir(), "rows.jsonl")
	rows := make([]dataset.Row, 80)
	for i := range rows {
		rows[i] = dataset.Row{ID: "x", Messages: []chat.Message{{Role: "user", Content: "外部の業者が大阪支店で議事録を印刷してもよいですか。"}, {Role: "assistant", Content: "判定: DENY\n理由: 規程による。"}}}
	}
	if err := dataset.WriteFile(path, rows); err != nil {
		t.Fatal(err)
	}
	r, _, err := attempt(t, map[string]any{"type": "Q8_0", "heldout": path})
	if err != nil || r.Divergence == nil || r.Divergence.Chunks < 2 {
		t.Errorf("%v, %+v", err, r.Divergence)
	}
	few := filepath.Join(t.TempDir(), "few.txt")
	if err := os.WriteFile(few, []byte("短い。"), 0o644); err != nil {
		t.Fatal(err)
	}
	if _, _, err := attempt(t, map[string]any{"heldout": few}); plugins.CodeOf(err) != plugins.BadInput {
		t.Errorf("%v", err)
	}
}

// Every type that can be asked for is in the schema and has a limit, which grows as bits fall.
func TestConfig_EveryTypeHasItsLimit(t *testing.T) {
	field, _ := reflect.TypeFor[Config]().FieldByName("Type")
	if got := strings.Split(field.Tag.Get("enum"), ","); !reflect.DeepEqual(got, quant.MixNames()) {
		t.Errorf("types %v, want %v", got, quant.MixNames())
	}
	for _, name := range quant.MixNames() {
		c := Config{Type: name}
		if small, big := c.limit(1e6), c.limit(4e9); small <= 0 || big < small {
			t.Errorf("%s: limits %v and %v", name, small, big)
		}
	}
	if (Config{Type: "F16", MaxKL: 3}).limit(1) != 3 {
		t.Error("max_kl does not decide")
	}
}

func TestCheck_OverridesAndPairs(t *testing.T) {
	for with, field := range map[string]string{
		`{"type":"Q4_K_M","embedding_type":"Q9"}`: "embedding_type",
		`{"type":"Q4_K_M","output_type":"x"}`:     "output_type",
		`{"base":"x"}`:                            "adapter",
		`{}`:                                      "model",
		`{"base":"x","adapter":"y"}`:              "bake",
		`{"model":"z","base":"x","adapter":"y","bake":"r"}`: "bake",
	} {
		report, err := Stage{}.Check(t.Context(), plugins.CheckRequest{With: []byte(with)})
		if err != nil || len(report.Problems) != 1 || report.Problems[0].Field != field {
			t.Errorf("%s: %+v, %v", with, report.Problems, err)
		}
	}
	report, err := Stage{}.Check(t.Context(), plugins.CheckRequest{With: []byte(`{"base":"` + model + `"}`), Pending: []string{"model", "adapter"}})
	if err != nil || len(report.Problems) != 0 {
		t.Errorf("an adapter that is still to be trained: %+v, %v", report.Problems, err)
	}
}

// TestCheck_HeldOutPending_StatesTheBackend: the gate's figures depend on it, and the engine does
// not ask again when the text is there.
func TestCheck_HeldOutPending_StatesTheBackend(t *testing.T) {
	report, err := Stage{}.Check(t.Context(), plugins.CheckRequest{
		With: []byte(`{}`), Pending: []string{"model", "base", "adapter", "heldout"},
	})
	if err != nil || len(report.Problems) > 0 || report.Facts["backend"] == "" {
		t.Errorf("report %+v, error %v", report, err)
	}
}
