package stages

import (
	"bytes"
	"encoding/json"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/so8t/so8t/plugins"
	"github.com/so8t/so8t/stages/bake"
	"github.com/so8t/so8t/stages/gguf"
	"github.com/so8t/so8t/stages/internal/phi3"
	"github.com/so8t/so8t/stages/internal/so8t"
	"github.com/so8t/so8t/stages/internal/synthetic"
)

const tinyBase = "internal/modelfile/testdata/tiny-hf"

// attempt runs a stage and returns the folder of its outputs.
func attempt(t *testing.T, stage plugins.Stage, with map[string]any) (string, error) {
	t.Helper()
	text, err := json.Marshal(with)
	if err != nil {
		t.Fatal(err)
	}
	out := t.TempDir()
	_, err = stage.Run(t.Context(), &plugins.Attempt{With: text, OutputDir: out})
	return out, err
}

// adapterFor writes one for the tiny model.
func adapterFor(t *testing.T, change func(a *so8t.Adapter)) string {
	t.Helper()
	c, err := phi3.ReadConfig(tinyBase)
	if err != nil {
		t.Fatal(err)
	}
	dir := t.TempDir()
	if err := synthetic.WriteAdapter(dir, c, 4, 7); err != nil {
		t.Fatal(err)
	}
	if change == nil {
		return dir
	}
	a, err := so8t.ReadAdapter(dir)
	if err != nil {
		t.Fatal(err)
	}
	change(a)
	dir = t.TempDir()
	if err := so8t.WriteAdapter(dir, a); err != nil {
		t.Fatal(err)
	}
	return dir
}

// proven is the report of a bake without a folder.
func proven(t *testing.T, adapter, storage string) string {
	t.Helper()
	out, err := attempt(t, bake.Stage{}, map[string]any{"base": tinyBase, "adapter": adapter, "storage": storage, "folder": false})
	if err != nil {
		t.Fatal(err)
	}
	if left, err := os.ReadDir(out); err != nil || len(left) != 1 {
		t.Errorf("a bake without a folder leaves %v, %v", left, err)
	}
	return filepath.Join(out, "bake_report.json")
}

// A file made straight of base and adapter is that of a folder in between whose weights were not
// rounded, byte for byte; its predictions are those of the base that the adapter was merged onto,
// which for nf4 are others than the files'.
func TestExport_StraightEqualsByWayOfAFolder(t *testing.T) {
	adapter := adapterFor(t, nil)
	for _, c := range []struct{ storage, typ string }{{"native", "F16"}, {"native", "Q4_K_M"}, {"nf4", "F16"}} {
		folder, err := attempt(t, bake.Stage{}, map[string]any{"base": tinyBase, "adapter": adapter, "storage": c.storage, "dtype": "float32"})
		if err != nil {
			t.Fatal(err)
		}
		twice, err := attempt(t, gguf.Stage{}, map[string]any{"model": filepath.Join(folder, "model"), "type": c.typ})
		if err != nil {
			t.Fatal(err)
		}
		once, err := attempt(t, gguf.Stage{}, map[string]any{
			"base": tinyBase, "adapter": adapter, "bake": proven(t, adapter, c.storage), "type": c.typ,
			"heldout": "modeltool/testdata/heldout.txt", "heldout_tokens": 512,
		})
		if err != nil {
			t.Fatal(err)
		}
		a, errA := os.ReadFile(filepath.Join(twice, "model.gguf"))
		b, errB := os.ReadFile(filepath.Join(once, "model.gguf"))
		if errA != nil || errB != nil || !bytes.Equal(a, b) {
			t.Errorf("%+v: %d bytes by way of a folder, %d other bytes without, %v, %v", c, len(a), len(b), errA, errB)
		}
	}
}

// What is written must be what the bake proved: each of these is a model that it never saw.
func TestExport_StraightRefusesWhatWasNotProven(t *testing.T) {
	adapter := adapterFor(t, nil)
	report := proven(t, adapter, "int8")
	edited := func(from, to string) string {
		text, err := os.ReadFile(report)
		if err != nil || !strings.Contains(string(text), from) {
			t.Fatalf("%s is not in the report, %v", from, err)
		}
		path := filepath.Join(t.TempDir(), "report.json")
		if err := os.WriteFile(path, []byte(strings.Replace(string(text), from, to, 1)), 0o644); err != nil {
			t.Fatal(err)
		}
		return path
	}
	folder, err := attempt(t, bake.Stage{}, map[string]any{"base": tinyBase, "adapter": adapter})
	if err != nil {
		t.Fatal(err)
	}
	for name, c := range map[string]struct{ base, adapter, report, want string }{
		"another scale":    {tinyBase, adapterFor(t, func(a *so8t.Adapter) { a.LoRA.Alpha *= 1.1 }), report, "is not the one that the bake proved"},
		"a gate less":      {tinyBase, adapterFor(t, func(a *so8t.Adapter) { a.Gates.Layers = a.Gates.Layers[1:] }), report, "is not the one that the bake proved"},
		"turned backwards": {tinyBase, adapterFor(t, func(a *so8t.Adapter) { a.Gates.Layers[2].Theta[5] *= -1 }), report, "o_proj.weight"},
		"another base":     {filepath.Join(folder, "model"), adapter, report, "is not the one that the bake proved"},
		"the other base":   {tinyBase, adapter, edited(`"base": "dequantised"`, `"base": "original"`), "is not the one that the bake proved"},
		"a rounded bake":   {tinyBase, adapter, filepath.Join(folder, "bake_report.json"), "folder: false"},
		"no report":        {tinyBase, adapter, filepath.Join(folder, "model", "config.json"), "not the report of a bake stage"},
	} {
		_, err := attempt(t, gguf.Stage{}, map[string]any{"base": c.base, "adapter": c.adapter, "bake": c.report, "type": "Q8_0"})
		if plugins.CodeOf(err) != plugins.BadInput || !strings.Contains(err.Error(), c.want) {
			t.Errorf("%s: %v", name, err)
		}
	}
}
