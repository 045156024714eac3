package bake

import (
	"encoding/json"
	"fmt"
	"math/rand/v2"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/so8t/so8t/plugins"
	"github.com/so8t/so8t/stages/internal/backend"
	"github.com/so8t/so8t/stages/internal/baked"
	"github.com/so8t/so8t/stages/internal/chat"
	"github.com/so8t/so8t/stages/internal/compute"
	"github.com/so8t/so8t/stages/internal/phi3"
	"github.com/so8t/so8t/stages/internal/safetensors"
	"github.com/so8t/so8t/stages/internal/so8t"
)

const base = "../internal/modelfile/testdata/tiny-hf"

func open(t *testing.T, dir string) *phi3.Folder {
	t.Helper()
	folder, err := phi3.OpenFolder(dir)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { folder.Close() })
	return folder
}

func cpu(t *testing.T) backend.Backend {
	t.Helper()
	be, err := compute.Open("cpu", 2)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = be.Close() })
	return be
}

// adapter draws a LoRA on all projections and a gate on every layer, large enough to matter.
func adapter(t *testing.T, c *phi3.Config) *so8t.Adapter {
	t.Helper()
	r := rand.New(rand.NewPCG(1, 2))
	normal := func(n int, scale float64) []float32 {
		v := make([]float32, n)
		for i := range v {
			v[i] = float32(r.NormFloat64() * scale)
		}
		return v
	}
	targets, err := c.SelectTargets(phi3.Modules)
	if err != nil {
		t.Fatal(err)
	}
	const rank = 4
	lora := &so8t.LoRA{Rank: rank, Alpha: 8, Targets: phi3.Modules}
	for _, target := range targets {
		out, in := c.ModuleShape(target.Module)
		lora.Modules = append(lora.Modules, so8t.Module{Path: target.Path(), In: in, Out: out, A: normal(rank*in, 0.05), B: normal(out*rank, 0.05)})
	}
	gates := &so8t.Gates{Hidden: c.Hidden}
	for layer := range c.Layers {
		gates.Layers = append(gates.Layers, so8t.Gate{Layer: layer, Theta: normal(c.Hidden/8*28, 0.2)})
	}
	return &so8t.Adapter{LoRA: lora, Gates: gates}
}

// saved writes an adapter folder.
func saved(t *testing.T, a *so8t.Adapter) string {
	t.Helper()
	dir := t.TempDir()
	if err := so8t.WriteAdapter(dir, a); err != nil {
		t.Fatal(err)
	}
	return dir
}

// run is one attempt of the stage.
func run(t *testing.T, with map[string]any) (out string, report Report, result plugins.Result, err error) {
	t.Helper()
	text, err := json.Marshal(with)
	if err != nil {
		t.Fatal(err)
	}
	out = t.TempDir()
	result, err = Stage{}.Run(t.Context(), &plugins.Attempt{With: text, OutputDir: out})
	if err != nil {
		return out, report, result, err
	}
	raw, err := os.ReadFile(filepath.Join(out, "bake_report.json"))
	if err == nil {
		err = json.Unmarshal(raw, &report)
	}
	return out, report, result, err
}

func TestRun_BakedFolderEqualsTheTrainedModel(t *testing.T) {
	folder := open(t, base)
	a := adapter(t, folder.Config)
	out, report, result, err := run(t, map[string]any{"base": base, "adapter": saved(t, a), "dtype": "float32"})
	if err != nil {
		t.Fatal(err)
	}
	if result.Metrics["layers_folded"] != float64(folder.Config.Layers) || result.Metrics["modules_merged"] != float64(4*folder.Config.Layers) {
		t.Errorf("metrics %v", result.Metrics)
	}
	template, err := chat.Open(filepath.Join(out, "model")) // the tokenizer came along
	if err != nil {
		t.Fatal(err)
	}
	// The files against a runner that knows nothing of how they were proven.
	be, sequences := cpu(t), prompts(template, folder.Config)
	trainedLogits := logits(t, be, folder, a, sequences)
	low, high := trainedLogits[0], trainedLogits[0]
	for _, v := range trainedLogits {
		low, high = min(low, v), max(high, v)
	}
	if d := distance(trainedLogits, logits(t, be, open(t, filepath.Join(out, "model")), nil, sequences)); d > 1e-5*float64(high-low) {
		t.Errorf("the written model differs by %v of %v", d, high-low)
	}
	p := report.Proof
	if p.RelativeError > 1e-5 || p.WrittenMaxError != p.MaxError || p.LogitRange < 0.99*float64(high-low) || p.Positions != len(trainedLogits)/folder.Config.Vocab {
		t.Errorf("proof %+v; the range is %v", p, high-low)
	}
	if p.WithoutAdapter < 0.1*p.LogitRange {
		t.Errorf("the adapter changes the logits by only %v: the test shows nothing", p.WithoutAdapter)
	}
	if len(report.Tensors) != len(folder.Config.Tensors()) || len(report.Layers) != folder.Config.Layers || report.MergedOnto.Base != baked.Original {
		t.Errorf("report %+v", report)
	}
}

func logits(t *testing.T, be backend.Backend, folder *phi3.Folder, a *so8t.Adapter, sequences [][]int32) []float32 {
	t.Helper()
	weights, err := phi3.Load(folder.Config, folder, phi3.StoreNative)
	if err != nil {
		t.Fatal(err)
	}
	b, err := phi3.NewBase(be, weights, 512)
	if err != nil {
		t.Fatal(err)
	}
	defer b.Release()
	r, err := phi3.NewRunner(b, a)
	if err != nil {
		t.Fatal(err)
	}
	defer r.Release()
	v, err := r.Logits(sequences...)
	if err != nil {
		t.Fatal(err)
	}
	return v
}

// Each mutant is a mistake that a bake could make; the proof must see every one.
func TestProver_SeesEveryMistake(t *testing.T) {
	folder := open(t, base)
	template, err := chat.Open(base)
	if err != nil {
		t.Fatal(err)
	}
	merge := func(onto phi3.Source, a *so8t.Adapter) phi3.Source {
		m, err := phi3.NewMerged(folder.Config, onto, a)
		if err != nil {
			t.Fatal(err)
		}
		return m
	}
	adapted := func(mistake func(a *so8t.Adapter)) phi3.Source {
		wrong := adapter(t, folder.Config)
		mistake(wrong)
		return merge(folder, wrong)
	}
	right := adapter(t, folder.Config)
	for name, mutant := range map[string]phi3.Source{
		"none": adapted(func(*so8t.Adapter) {}),
		"wrong transpose": adapted(func(a *so8t.Adapter) { // Cayley(−A) is the transpose
			for i := range a.Gates.Layers {
				for j := range a.Gates.Layers[i].Theta {
					a.Gates.Layers[i].Theta[j] *= -1
				}
			}
		}),
		"skipped layer":        adapted(func(a *so8t.Adapter) { a.Gates.Layers = a.Gates.Layers[:3] }),
		"dropped gates":        adapted(func(a *so8t.Adapter) { a.Gates = nil }),
		"merge after the fold": merge(merge(folder, &so8t.Adapter{Gates: right.Gates}), right.WithoutGates()),
		"folded twice":         merge(merge(folder, right), &so8t.Adapter{Gates: right.Gates}),
		"gates of the next layer": adapted(func(a *so8t.Adapter) {
			layers := a.Gates.Layers
			layers[0].Theta, layers[1].Theta = layers[1].Theta, layers[0].Theta
		}),
		"dropped LoRA":   adapted(func(a *so8t.Adapter) { a.LoRA = nil }),
		"missing module": adapted(func(a *so8t.Adapter) { a.LoRA.Modules = a.LoRA.Modules[1:] }),
		"wrong scale":    adapted(func(a *so8t.Adapter) { a.LoRA.Alpha *= 1.1 }),
	} {
		t.Run(name, func(t *testing.T) {
			p := prover{be: cpu(t), config: folder.Config, base: folder, adapter: right, merged: mutant}
			proof, err := p.run(t.Context(), prompts(template, folder.Config))
			if err != nil {
				t.Fatal(err)
			}
			if refused := plugins.CodeOf(proof.check(1e-4, "bfloat16")) == plugins.Gate; refused != (name != "none") {
				t.Errorf("relative error %v", proof.RelativeError)
			}
			// The same mistake in the files alone.
			p.merged, p.written = merge(folder, right), mutant
			if proof, err = p.run(t.Context(), prompts(template, folder.Config)); err != nil {
				t.Fatal(err)
			}
			if refused := plugins.CodeOf(proof.check(1e-4, "float32")) == plugins.Gate; refused != (name != "none") {
				t.Errorf("relative error of the files %v", proof.WrittenRelativeError)
			}
		})
	}
}

func TestRun_FailedProofLeavesNoModel(t *testing.T) {
	out, _, _, err := run(t, map[string]any{"base": base, "adapter": saved(t, adapter(t, open(t, base).Config)), "tolerance": 1e-12})
	if plugins.CodeOf(err) != plugins.Gate {
		t.Errorf("got %v", err)
	}
	if left, err := os.ReadDir(out); err != nil || len(left) > 0 {
		t.Errorf("%v is left, %v", left, err)
	}
}

func TestReport_CheckCounts(t *testing.T) {
	a := adapter(t, open(t, base).Config)
	for _, c := range []struct {
		folded, merged int
		ok             bool
	}{{4, 16, true}, {3, 16, false}, {5, 16, false}, {4, 15, false}, {0, 0, false}} {
		err := Report{LayersFolded: c.folded, ModulesMerged: c.merged}.checkCounts(a)
		if (err == nil) != c.ok || err != nil && plugins.CodeOf(err) != plugins.Gate {
			t.Errorf("%d folded, %d merged: %v", c.folded, c.merged, err)
		}
	}
}

// What does not fit is refused by its name.
func TestRun_RefusesAnAdapterOfAnotherModel(t *testing.T) {
	a := adapter(t, open(t, base).Config)
	site := func(name string, width int) func(t *testing.T, dir string) {
		return func(t *testing.T, dir string) {
			gate := safetensors.FromFloats(name, safetensors.F32, []int{width / 8, 28}, make([]float32, width/8*28))
			if err := safetensors.Write(filepath.Join(dir, "so8t_gate.safetensors"), []safetensors.Tensor{gate}, nil); err != nil {
				t.Fatal(err)
			}
			config := `{"so8t_version":1,"so8t_param":"cayley28","so8t_site":"o_proj.out","so8t_convention":"row","layers":[0]}`
			if err := os.WriteFile(filepath.Join(dir, "so8t_config.json"), []byte(config), 0o644); err != nil {
				t.Fatal(err)
			}
		}
	}
	for name, spoil := range map[string]func(t *testing.T, dir string){
		"model.layers.0.mlp.down_proj.so8t": site("model.layers.0.mlp.down_proj.so8t", 256),
		"expected 896 for width 256":        site("model.layers.0.self_attn.o_proj.so8t", 128),
		"gate of layer 9":                   site("model.layers.9.self_attn.o_proj.so8t", 256),
		`"q_proj.out"`: func(t *testing.T, dir string) {
			path := filepath.Join(dir, "so8t_config.json")
			text, err := os.ReadFile(path)
			if err == nil {
				err = os.WriteFile(path, []byte(strings.Replace(string(text), "o_proj.out", "q_proj.out", 1)), 0o644)
			}
			if err != nil {
				t.Fatal(err)
			}
		},
	} {
		t.Run(name, func(t *testing.T) {
			dir := saved(t, a)
			spoil(t, dir)
			if strings.HasPrefix(name, "gate of") {
				path := filepath.Join(dir, "so8t_config.json")
				text, _ := os.ReadFile(path)
				if err := os.WriteFile(path, []byte(strings.Replace(string(text), "[0]", "[9]", 1)), 0o644); err != nil {
					t.Fatal(err)
				}
			}
			_, _, _, err := run(t, map[string]any{"base": base, "adapter": dir})
			if plugins.CodeOf(err) != plugins.BadInput || !strings.Contains(err.Error(), name) {
				t.Errorf("got %v", err)
			}
		})
	}
}

func TestCheck_AsksForWhatItWrites(t *testing.T) {
	folder := open(t, base)
	for dtype, width := range map[string]int64{"float32": 4, "bfloat16": 2} {
		report, err := Stage{}.Check(t.Context(), plugins.CheckRequest{With: fmt.Appendf(nil, `{"base":%q,"dtype":%q}`, base, dtype)})
		if err != nil || len(report.Problems) > 0 {
			t.Fatal(report.Problems, err)
		}
		if want := width * folder.Config.Parameters(); report.Needs.Disk != want {
			t.Errorf("%s: needs %d bytes of disk, writes %d", dtype, report.Needs.Disk, want)
		}
	}
	// Phi-4-mini with an adapter of rank 64 on everything.
	c := phi3.Config{Hidden: 3072, Layers: 32, Heads: 24, KVHeads: 8, HeadDim: 128, Intermediate: 8192, Vocab: 200064}
	a := &so8t.Adapter{LoRA: &so8t.LoRA{Rank: 64}}
	for range c.Layers {
		for _, module := range phi3.Modules {
			out, in := c.ModuleShape(module)
			a.LoRA.Modules = append(a.LoRA.Modules, so8t.Module{A: make([]float32, 64*in), B: make([]float32, 64*out)})
		}
	}
	if n := memory(&c, a); n < 400<<20 || n > 1<<30 {
		t.Errorf("needs %d MiB of memory", n>>20)
	}
}
