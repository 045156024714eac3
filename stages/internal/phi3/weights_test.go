package phi3

import (
	"encoding/json"
	"errors"
	"fmt"
	"math"
	"os"
	"path/filepath"
	"reflect"
	"strings"
	"testing"
	"unsafe"

	"github.com/so8t/so8t/stages/internal/backend"
	"github.com/so8t/so8t/stages/internal/safetensors"
	"github.com/so8t/so8t/stages/internal/so8t"
)

// copyModel copies a testdata model so that it can be damaged.
func copyModel(t *testing.T, model string) string {
	t.Helper()
	dir := t.TempDir()
	if err := os.CopyFS(dir, os.DirFS(filepath.Join("testdata", model))); err != nil {
		t.Fatal(err)
	}
	return dir
}

// rewrite changes the tensors of a one-file model.
func rewrite(t *testing.T, dir string, change func(name string, shape []int, v []float32) (string, []int, []float32)) {
	t.Helper()
	set, err := safetensors.Open(dir)
	if err != nil {
		t.Fatal(err)
	}
	var list []safetensors.Tensor
	for _, name := range set.Names() {
		info, _ := set.Info(name)
		v, err := set.Floats(name)
		if err != nil {
			t.Fatal(err)
		}
		n, shape, v := change(name, info.Shape, v)
		if n != "" {
			list = append(list, safetensors.FromFloats(n, safetensors.F32, shape, v))
		}
	}
	set.Close()
	if err := safetensors.Write(filepath.Join(dir, "model.safetensors"), list, nil); err != nil {
		t.Fatal(err)
	}
}

func TestOpenFolder_ReportsEveryProblemAtOnce(t *testing.T) {
	dir := copyModel(t, "tiny-phi3")
	rewrite(t, dir, func(name string, shape []int, v []float32) (string, []int, []float32) {
		switch name {
		case "model.norm.weight":
			return "", nil, nil
		case "model.layers.1.mlp.down_proj.weight":
			return name, []int{shape[1], shape[0]}, v
		case "model.layers.2.self_attn.qkv_proj.weight":
			return "model.layers.2.self_attn.q_proj.weight", shape, v
		}
		return name, shape, v
	})
	_, err := OpenFolder(dir)
	var input *InputError
	if !errors.As(err, &input) || len(input.Problems) != 4 {
		t.Fatalf("%v", err)
	}
	for _, want := range []string{`"model.norm.weight" is missing`, "has shape [160 64]; config.json says [64 160]",
		`"model.layers.2.self_attn.qkv_proj.weight" is missing`, "stored apart"} {
		if !strings.Contains(err.Error(), want) {
			t.Errorf("%q is not in: %v", want, err)
		}
	}
}

func TestOpenFolder_SuperfluousHead(t *testing.T) {
	for _, equal := range []bool{true, false} {
		dir := copyModel(t, "tiny-phi3")
		f, err := OpenFolder(dir)
		if err != nil {
			t.Fatal(err)
		}
		head := make([]float32, 4128*64)
		if err := f.ReadFloats(embedName, 0, head); err != nil {
			t.Fatal(err)
		}
		f.Close()
		if !equal {
			head[len(head)-1]++
		}
		addTensor(t, dir, headName, []int{4128, 64}, head)
		f, err = OpenFolder(dir)
		if equal != (err == nil) {
			t.Errorf("lm_head equal to the tied embedding: %v: %v", equal, err)
		}
		if err == nil {
			f.Close()
		}
	}
}

func addTensor(t *testing.T, dir, name string, shape []int, v []float32) {
	t.Helper()
	set, err := safetensors.Open(dir)
	if err != nil {
		t.Fatal(err)
	}
	list := []safetensors.Tensor{safetensors.FromFloats(name, safetensors.F32, shape, v)}
	for _, n := range set.Names() {
		info, _ := set.Info(n)
		data, err := set.Floats(n)
		if err != nil {
			t.Fatal(err)
		}
		list = append(list, safetensors.FromFloats(n, safetensors.F32, info.Shape, data))
	}
	set.Close()
	if err := safetensors.Write(filepath.Join(dir, "model.safetensors"), list, nil); err != nil {
		t.Fatal(err)
	}
}

func TestOpenFolder_DamagedFiles(t *testing.T) {
	for name, damage := range map[string]func(dir string) error{
		"truncated": func(dir string) error { return os.Truncate(filepath.Join(dir, "model.safetensors"), 100_000) },
		"missing":   func(dir string) error { return os.Remove(filepath.Join(dir, "model.safetensors")) },
		"empty":     func(dir string) error { return os.Truncate(filepath.Join(dir, "model.safetensors"), 0) },
		"a pointer of git-lfs": func(dir string) error {
			return os.WriteFile(filepath.Join(dir, "model.safetensors"), []byte("version https://git-lfs.github.com/spec/v1\noid sha256:0\nsize 1\n"), 0o600)
		},
	} {
		dir := copyModel(t, "tiny-phi3")
		if err := damage(dir); err != nil {
			t.Fatal(err)
		}
		_, err := OpenFolder(dir)
		var input *InputError
		if !errors.As(err, &input) || !strings.Contains(err.Error(), "download it again") {
			t.Errorf("%s: %v", name, err)
		}
	}
	if _, err := OpenFolder(filepath.Join(t.TempDir(), "nowhere")); !errors.Is(err, os.ErrNotExist) {
		t.Errorf("no folder: %v", err)
	}
}

// bf16 and f32 tensors are used where they are in the file.
func TestLoad_AliasesTheFile(t *testing.T) {
	w := load(t, "tiny-phi3-bf16-sharded", StoreNative)
	if w.Embed.Kind != backend.BFloat16 || w.Layers[0].QKV.Kind != backend.BFloat16 || len(w.Head.BF16) == 0 || &w.Head.BF16[0] != &w.Embed.BF16[0] {
		t.Errorf("embedding %s, qkv %s", w.Embed.Kind, w.Layers[0].QKV.Kind)
	}
	f, err := OpenFolder("testdata/tiny-phi3")
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	plain, err := Load(f.Config, f, StoreNative)
	if err != nil {
		t.Fatal(err)
	}
	_, raw, _ := f.View(moduleName(1, Down))
	if unsafe.Pointer(&plain.Layers[1].Down.F32[0]) != unsafe.Pointer(&raw[0]) {
		t.Error("an f32 tensor was copied")
	}
}

// failing is a source whose disk breaks at one tensor.
type failing struct {
	Source
	at string
}

var errDisk = errors.New("input/output error")

func (f failing) ReadFloats(name string, first int, dst []float32) error {
	if name == f.at && first > 0 {
		return fmt.Errorf("reading tensor %q: %w", name, errDisk)
	}
	return f.Source.ReadFloats(name, first, dst)
}

func TestLoad_PassesReadErrorsOn(t *testing.T) {
	f, err := OpenFolder("testdata/tiny-phi3")
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	for _, store := range Storages {
		_, err := Load(f.Config, failing{f, embedName}, store)
		if !errors.Is(err, errDisk) || !strings.Contains(err.Error(), embedName) {
			t.Errorf("%s: %v", store, err)
		}
	}
}

func TestLoad_Int8(t *testing.T) {
	w, q := load(t, "tiny-phi3", StoreF32), load(t, "tiny-phi3", StoreInt8)
	if q.Embed.Kind != backend.Float32 {
		t.Errorf("the embedding is %s", q.Embed.Kind)
	}
	for i := range w.Layers {
		for _, module := range Modules {
			a, b := w.Layers[i].Module(module), q.Layers[i].Module(module)
			for k, v := range a.F32 {
				scale := b.Scales[k/a.Cols]
				if d := math.Abs(float64(v - scale*float32(b.Int8[k]))); d > float64(scale)*0.5001 {
					t.Fatalf("layer %d %s[%d]: %v became %v", i, module, k, v, scale*float32(b.Int8[k]))
				}
			}
		}
	}
	// Exact ties go to even, ±127 is the end, a zero row has no scale.
	codes := make([]int8, 5)
	if s := QuantizeInt8(codes, []float32{127, 0.5, 1.5, -2.5, -127}); s != 1 || !reflect.DeepEqual(codes, []int8{127, 0, 2, -2, -127}) {
		t.Errorf("scale %v, codes %v", s, codes)
	}
	if s := QuantizeInt8(codes, make([]float32, 5)); s != 0 || codes[0] != 0 {
		t.Errorf("zero row: scale %v, codes %v", s, codes)
	}
}

func TestNewWeights_WriteAndRead(t *testing.T) {
	c, err := ReadConfig("testdata/tiny-phi3")
	if err != nil {
		t.Fatal(err)
	}
	w, err := NewWeights(c, 42)
	if err != nil {
		t.Fatal(err)
	}
	again, err := NewWeights(c, 42)
	if err != nil || !reflect.DeepEqual(w, again) {
		t.Error("the same seed draws other weights")
	}
	other, err := NewWeights(c, 43)
	if err != nil || reflect.DeepEqual(w.Embed.F32[:8], other.Embed.F32[:8]) {
		t.Error("another seed draws the same weights")
	}
	square := 0.0
	for _, v := range w.Layers[1].Down.F32 {
		square += float64(v) * float64(v)
	}
	if std, want := math.Sqrt(square/float64(len(w.Layers[1].Down.F32))), 0.02/math.Sqrt(6); math.Abs(std/want-1) > 0.05 {
		t.Errorf("down_proj has deviation %v, expected %v", std, want)
	}
	dir := t.TempDir()
	if err := w.WriteFolder(dir, "float32"); err != nil {
		t.Fatal(err)
	}
	f, err := OpenFolder(dir)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	back, err := Load(f.Config, f, StoreF32)
	if err != nil {
		t.Fatal(err)
	}
	back.Config = c
	if !reflect.DeepEqual(w, back) {
		t.Error("other weights came back")
	}
	if w.WriteFolder(t.TempDir(), "int4") == nil {
		t.Error("an unknown dtype was written")
	}
}

func TestModel_ExportsWhatItTrained(t *testing.T) {
	be := single(t)
	w := load(t, "tiny-phi3-b", StoreF32)
	m, err := NewBaseModel(be, w, TrainOptions{MaxLen: 8})
	if err != nil {
		t.Fatal(err)
	}
	back, err := m.Weights()
	if err != nil || !reflect.DeepEqual(w, back) {
		t.Errorf("other weights came back, %v", err)
	}
	want := loraFixture(t)
	want.Gates = &so8t.Gates{Hidden: 64, Layers: []so8t.Gate{{Layer: 1, Theta: make([]float32, 8*so8t.Params)}}}
	want.Gates.Layers[0].Theta[3] = 0.5
	a := adapterModel(t, be, want, "middle").Adapter("models/tiny-phi3")
	dir := t.TempDir()
	if err := so8t.WriteAdapter(dir, a); err != nil {
		t.Fatal(err)
	}
	got, err := so8t.ReadAdapter(dir)
	if err != nil || !reflect.DeepEqual(want, got) {
		t.Errorf("another adapter came back, %v", err)
	}
}

func TestNewAdapterModel_Refuses(t *testing.T) {
	be := single(t)
	w := load(t, "tiny-phi3", StoreNative)
	for name, o := range map[string]AdapterOptions{
		"nothing":     {},
		"rank":        {Targets: Modules, Alpha: 1},
		"alpha":       {Targets: Modules, Rank: 1},
		"target":      {Targets: []string{"q_proj"}, Rank: 1, Alpha: 1},
		"gated layer": {Gates: "7"},
		"no gates":    {Gates: "none"},
		"a start with a gate where none is chosen": {Gates: "0", From: &so8t.Adapter{
			Gates: &so8t.Gates{Hidden: 64, Layers: []so8t.Gate{{Layer: 1, Theta: make([]float32, 8*so8t.Params)}}}}},
		"a start of another shape": {Gates: "all", From: &so8t.Adapter{LoRA: &so8t.LoRA{Rank: 1, Alpha: 1,
			Modules: []so8t.Module{{Path: "model.layers.0.self_attn.o_proj", In: 8, Out: 8}}}}},
	} {
		if _, err := NewAdapterModel(be, w, TrainOptions{MaxLen: 8}, o); err == nil {
			t.Errorf("%s was accepted: %+v", name, o)
		}
	}
	for _, n := range []int{0, 513} {
		if _, err := NewBaseModel(be, w, TrainOptions{MaxLen: n}); err == nil {
			t.Errorf("sequences of up to %d tokens were accepted", n)
		}
	}
	m, err := NewAdapterModel(be, w, TrainOptions{MaxLen: 8}, AdapterOptions{Gates: "all"})
	if err != nil {
		t.Fatal(err)
	}
	defer m.Release()
	if _, _, err := m.Losses(be.NewScope(), join(sequence(9)), Pass{}); err == nil {
		t.Error("a sequence longer than planned was accepted")
	}
}

func TestInputError_IsReadable(t *testing.T) {
	text, err := json.Marshal((&InputError{What: "model", Problems: []string{"a", "b"}}).Error())
	if err != nil || string(text) != `"model: 2 problems:\n  - a\n  - b"` {
		t.Errorf("%s, %v", text, err)
	}
}

// Half-precision files, in one file or in shards, are read through the map: widened where a
// backend cannot use them as they are, quantised from where they lie.
func TestLoad_F16(t *testing.T) {
	w := load(t, "tiny-phi3", StoreF32)
	dir := t.TempDir()
	if err := w.WriteFolder(dir, "float16"); err != nil {
		t.Fatal(err)
	}
	f, err := OpenFolder(dir)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = f.Close() })
	for _, store := range Storages {
		h, err := Load(f.Config, f, store)
		if err != nil {
			t.Fatal(err)
		}
		be := reference(t)
		sc := be.NewScope()
		x := sc.Alloc(w.Config.Hidden)
		be.Embed(x, be.NewWeight(h.Embed), sc.AllocInts([]int32{7}))
		want := w.Embed.F32[7*w.Config.Hidden:][:w.Config.Hidden]
		limit := 0.001 * largest(read(be, x))
		if store == StoreBF16 {
			limit *= 4
		}
		if d := far(read(be, x), want); d > limit || d == 0 {
			t.Errorf("%s: an embedding is off by %g (limit %g)", store, d, limit)
		}
	}
}
