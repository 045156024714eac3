package bake

import (
	"encoding/json"
	"fmt"
	"math/rand/v2"
	"os"
	"path/filepath"
	"testing"

	"github.com/so8t/so8t/plugins"
	"github.com/so8t/so8t/stages/internal/chat"
	"github.com/so8t/so8t/stages/internal/compute"
	"github.com/so8t/so8t/stages/internal/phi3"
	"github.com/so8t/so8t/stages/internal/so8t"
)

const base = "../internal/modelfile/testdata/tiny-hf"

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

func TestRun_BakedFolderEqualsTheTrainedModel(t *testing.T) {
	folder, err := phi3.OpenFolder(base)
	if err != nil {
		t.Fatal(err)
	}
	defer folder.Close()
	dir, out := t.TempDir(), t.TempDir()
	a := adapter(t, folder.Config)
	if err := so8t.WriteAdapter(dir, a); err != nil {
		t.Fatal(err)
	}
	with, _ := json.Marshal(map[string]any{"base": base, "adapter": dir, "dtype": "float32"})
	result, err := Stage{}.Run(t.Context(), &plugins.Attempt{With: with, OutputDir: out})
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
	baked, err := phi3.OpenFolder(filepath.Join(out, "model"))
	if err != nil {
		t.Fatal(err)
	}
	defer baked.Close()
	be, err := compute.Open("cpu", 1)
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = be.Close() }()
	proof, err := prove(be, folder, a, baked, prompts(template, folder.Config))
	if err != nil {
		t.Fatal(err)
	}
	if proof.RelativeError > 1e-5 {
		t.Errorf("the written model differs by %v of the range", proof.RelativeError)
	}
	if proof.WithoutAdapter < 0.1*proof.LogitRange {
		t.Errorf("the adapter changes the logits by only %v: the test shows nothing", proof.WithoutAdapter)
	}
	var report Report
	text, err := os.ReadFile(filepath.Join(out, "bake_report.json"))
	if err == nil {
		err = json.Unmarshal(text, &report)
	}
	if err != nil || len(report.Tensors) != len(folder.Config.Tensors()) {
		t.Errorf("report: %v, %d digests", err, len(report.Tensors))
	}
}

// Each mutant is a mistake that a bake could make; the proof must see every one.
func TestProve_SeesEveryMistake(t *testing.T) {
	folder, err := phi3.OpenFolder(base)
	if err != nil {
		t.Fatal(err)
	}
	defer folder.Close()
	template, err := chat.Open(base)
	if err != nil {
		t.Fatal(err)
	}
	be, err := compute.Open("cpu", 2)
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = be.Close() }()
	right := adapter(t, folder.Config)
	for name, mistake := range map[string]func(a *so8t.Adapter){
		"none": func(*so8t.Adapter) {},
		"transposed rotation": func(a *so8t.Adapter) { // Cayley(−A) is the transpose
			for i := range a.Gates.Layers {
				for j := range a.Gates.Layers[i].Theta {
					a.Gates.Layers[i].Theta[j] *= -1
				}
			}
		},
		"skipped layer":  func(a *so8t.Adapter) { a.Gates.Layers = a.Gates.Layers[:3] },
		"dropped gates":  func(a *so8t.Adapter) { a.Gates = nil },
		"dropped LoRA":   func(a *so8t.Adapter) { a.LoRA = nil },
		"missing module": func(a *so8t.Adapter) { a.LoRA.Modules = a.LoRA.Modules[1:] },
		"wrong scale":    func(a *so8t.Adapter) { a.LoRA.Alpha *= 1.1 },
	} {
		t.Run(name, func(t *testing.T) {
			wrong := adapter(t, folder.Config)
			mistake(wrong)
			merged, err := phi3.NewMerged(folder.Config, folder, wrong)
			if err != nil {
				t.Fatal(err)
			}
			proof, err := prove(be, folder, right, merged, prompts(template, folder.Config))
			if err != nil {
				t.Fatal(err)
			}
			if differs := proof.RelativeError > 1e-4; differs != (name != "none") {
				t.Errorf("relative error %v", proof.RelativeError)
			}
		})
	}
}

func TestRun_RefusesAnAdapterOfAnotherModel(t *testing.T) {
	folder, err := phi3.OpenFolder(base)
	if err != nil {
		t.Fatal(err)
	}
	defer folder.Close()
	a := adapter(t, folder.Config)
	a.Gates.Layers[3].Layer = 9
	dir := t.TempDir()
	if err := so8t.WriteAdapter(dir, a); err != nil {
		t.Fatal(err)
	}
	with, _ := json.Marshal(map[string]any{"base": base, "adapter": dir})
	_, err = Stage{}.Run(t.Context(), &plugins.Attempt{With: with, OutputDir: t.TempDir()})
	if plugins.CodeOf(err) != plugins.BadInput {
		t.Errorf("got %v", err)
	}
}

func TestCheck_AsksForWhatItWrites(t *testing.T) {
	folder, err := phi3.OpenFolder(base)
	if err != nil {
		t.Fatal(err)
	}
	defer folder.Close()
	for dtype, width := range map[string]int64{"float32": 4, "bfloat16": 2} {
		report, err := Stage{}.Check(t.Context(), plugins.CheckRequest{With: fmt.Appendf(nil, `{"base":%q,"dtype":%q}`, base, dtype)})
		if err != nil || len(report.Problems) > 0 {
			t.Fatal(report.Problems, err)
		}
		if want := width * folder.Config.Parameters(); report.Needs.Disk != want {
			t.Errorf("%s: needs %d bytes of disk, writes %d", dtype, report.Needs.Disk, want)
		}
		if report.Needs.Memory < folder.Config.Parameters()*2 {
			t.Errorf("%s: needs %d bytes of memory", dtype, report.Needs.Memory)
		}
	}
}
