package so8t

import (
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"reflect"
	"strings"
	"testing"

	"github.com/so8t/so8t/stages/internal/safetensors"
)

func TestReadAdapter_PEFT(t *testing.T) {
	a, err := ReadAdapter("testdata/lora")
	if err != nil {
		t.Fatal(err)
	}
	l := a.LoRA
	if l.Rank != 8 || l.Alpha != 16 || l.Scale() != 2 || len(l.Modules) != 12 || a.Gates != nil {
		t.Fatalf("rank %d, alpha %v, %d modules, gates %v", l.Rank, l.Alpha, len(l.Modules), a.Gates)
	}
	if m := l.Modules[1]; m.Path != "model.layers.0.self_attn.o_proj" || m.In != 64 || m.Out != 64 {
		t.Errorf("second module is %s %d×%d", m.Path, m.Out, m.In)
	}
	l.RankStab = true
	if l.Scale() < 5.65 || l.Scale() > 5.66 { // 16/√8
		t.Errorf("rank-stabilised scale %v", l.Scale())
	}
}

// What is written has the bytes and names that PEFT's own file has.
func TestWriteAdapter_RoundTrip(t *testing.T) {
	a, err := ReadAdapter("testdata/lora")
	if err != nil {
		t.Fatal(err)
	}
	a.LoRA.Base = "/home/someone/models/tiny-phi3"
	a.Gates = &Gates{Hidden: 64, Layers: []Gate{{Layer: 1, Theta: make([]float32, 8*Params)}, {Layer: 2, Theta: make([]float32, 8*Params)}}}
	a.Gates.Layers[1].Theta[5] = 0.25
	dir := t.TempDir()
	if err := WriteAdapter(dir, a); err != nil {
		t.Fatal(err)
	}
	back, err := ReadAdapter(dir)
	if err != nil {
		t.Fatal(err)
	}
	a.LoRA.Base = "tiny-phi3"
	if !reflect.DeepEqual(a, back) {
		t.Error("another adapter came back")
	}
	ours, theirs := openAll(t, dir), openAll(t, "testdata/lora")
	if !reflect.DeepEqual(ours, theirs) {
		t.Error("the tensors differ from PEFT's")
	}
	text, err := os.ReadFile(filepath.Join(dir, adapterConfig))
	if err != nil || strings.Contains(string(text), "someone") {
		t.Errorf("a path got into the adapter: %s, %v", text, err)
	}
	if a.Gates.Find(2)[5] != 0.25 || a.Gates.Find(0) != nil || a.WithoutGates().Gates != nil {
		t.Error("gates are not found by layer")
	}
}

// openAll is name → bytes of an adapter's weights.
func openAll(t *testing.T, dir string) map[string]string {
	t.Helper()
	set, err := safetensors.Open(filepath.Join(dir, adapterWeights))
	if err != nil {
		t.Fatal(err)
	}
	defer set.Close()
	out := map[string]string{}
	for _, name := range set.Names() {
		b, err := set.Bytes(name)
		if err != nil {
			t.Fatal(err)
		}
		out[name] = string(b)
	}
	return out
}

// Only some layers, or not the same targets everywhere: PEFT is told which layers.
func TestWriteAdapter_PartialLayers(t *testing.T) {
	l := &LoRA{Rank: 1, Alpha: 1, Modules: []Module{{Path: "model.layers.3.mlp.down_proj"}, {Path: "model.layers.5.mlp.down_proj"}}}
	if got := newPEFTConfig(l).LayersTo; !reflect.DeepEqual(got, []int{3, 5}) {
		t.Errorf("layers_to_transform %v", got)
	}
	full, err := ReadAdapter("testdata/lora")
	if err != nil {
		t.Fatal(err)
	}
	if got := newPEFTConfig(full.LoRA).LayersTo; got != nil {
		t.Errorf("layers_to_transform %v for all layers", got)
	}
}

func TestReadAdapter_Refuses(t *testing.T) {
	good, err := os.ReadFile("testdata/lora/" + adapterConfig)
	if err != nil {
		t.Fatal(err)
	}
	for _, c := range []struct{ from, to, want string }{
		{`"use_dora": false`, `"use_dora": true`, "use_dora"},
		{`"peft_type": "LORA"`, `"peft_type": "IA3"`, "IA3"},
		{`"bias": "none"`, `"bias": "all"`, "bias"},
		{`"rank_pattern": {}`, `"rank_pattern": {"a": 4}`, "rank_pattern"},
		{`"lora_bias": false`, `"lora_bias": true`, "lora_bias"},
		{`"r": 8`, `"r": 4`, "rank 4"},
		{`"r": 8`, `"r": 0`, "positive"},
		{`"r": 8`, `"r": `, "invalid"},
	} {
		dir := t.TempDir()
		if err := os.CopyFS(dir, os.DirFS("testdata/lora")); err != nil {
			t.Fatal(err)
		}
		bad := strings.Replace(string(good), c.from, c.to, 1)
		if bad == string(good) {
			t.Fatalf("%q is not in the fixture", c.from)
		}
		if err := os.WriteFile(filepath.Join(dir, adapterConfig), []byte(bad), 0o600); err != nil {
			t.Fatal(err)
		}
		if _, err := ReadAdapter(dir); err == nil || !strings.Contains(err.Error(), c.want) {
			t.Errorf("%s: %v", c.to, err)
		}
	}
	if _, err := ReadAdapter(t.TempDir()); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("empty folder: %v", err)
	}
}

func TestReadAdapter_Truncated(t *testing.T) {
	for _, name := range []string{adapterWeights, gateWeights} {
		dir := t.TempDir()
		if err := os.CopyFS(dir, os.DirFS("testdata/lora")); err != nil {
			t.Fatal(err)
		}
		if err := WriteAdapter(dir, &Adapter{Gates: &Gates{Hidden: 8, Layers: []Gate{{Layer: 1, Theta: make([]float32, Params)}}}}); err != nil {
			t.Fatal(err)
		}
		if err := os.Truncate(filepath.Join(dir, name), 150); err != nil {
			t.Fatal(err)
		}
		_, err := ReadAdapter(dir)
		var bad *AdapterError
		if !errors.As(err, &bad) || !strings.Contains(err.Error(), name) {
			t.Errorf("%s: %v", name, err)
		}
	}
}

func TestReadGates_Refuses(t *testing.T) {
	for _, c := range []struct{ from, to, want string }{
		{`"cayley28"`, `"cayley64"`, "cayley64"},
		{`"row"`, `"column"`, "column"},
		{`"so8t_version": 1`, `"so8t_version": 2`, "version 2"},
		{"\n    1\n", "\n    2\n", "says that layers [2]"},
	} {
		dir := t.TempDir()
		if err := WriteAdapter(dir, &Adapter{Gates: &Gates{Hidden: 8, Layers: []Gate{{Layer: 1, Theta: make([]float32, Params)}}}}); err != nil {
			t.Fatal(err)
		}
		path := filepath.Join(dir, gateConfig)
		good, err := os.ReadFile(path)
		if err != nil {
			t.Fatal(err)
		}
		bad := strings.Replace(string(good), c.from, c.to, 1)
		if bad == string(good) {
			t.Fatalf("%q is not in %s", c.from, good)
		}
		if err := os.WriteFile(path, []byte(bad), 0o600); err != nil {
			t.Fatal(err)
		}
		if _, err := ReadAdapter(dir); err == nil || !strings.Contains(err.Error(), c.want) {
			t.Errorf("%s: %v", c.to, err)
		}
	}
}
