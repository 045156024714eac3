package train

import (
	"encoding/json"
	"fmt"
	"math"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/so8t/so8t/stages/internal/compute"
	"github.com/so8t/so8t/stages/internal/loop"
	"github.com/so8t/so8t/stages/internal/phi3"
	"github.com/so8t/so8t/stages/internal/safetensors"
	"github.com/so8t/so8t/stages/internal/so8t"
)

// The reference run: 30 steps of PyTorch, PEFT and AdamW in float64 on a tiny Phi-3 with
// LoRA and gates on every layer (testdata's README says how it was made).
const reference = "../internal/phi3/testdata"

type referenceRun struct {
	Steps       int64 `json:"steps"`
	WarmupSteps int64 `json:"warmup_steps"`
	LR          float64
	ClipNorm    float64         `json:"clip_grad_norm"`
	ClipMidNorm float64         `json:"clipmid_grad_norm"`
	F64         []referenceStep `json:"f64"`
	ClipMid     []referenceStep `json:"clipmid"`
}

type referenceStep struct {
	Sequences []int
	LR        float64
	PETLambda float64 `json:"pet_lambda"`
	Targets   int64
	CE, PET   float64
	Total     float64
	GradNorm  float64 `json:"grad_norm"`
}

// What a float32 implementation differs by (README: 1e-5 of the loss and the norm, 5e-5 of a
// parameter, for PyTorch's own float32), with room for another order of sums.
const (
	lossTolerance  = 5e-5
	normTolerance  = 1e-4 // relative
	valueTolerance = 1e-4
	rmsTolerance   = 2e-5 // relative, of all parameters together
)

func TestTraining_AgreesWithPyTorchAndPEFT(t *testing.T) {
	ref := readReference(t)
	for _, c := range []struct {
		name   string
		steps  []referenceStep
		norm   float64
		suffix string
	}{
		{"30 steps", ref.F64, ref.ClipNorm, "after30_f64"},
		{"some steps clipped, some not", ref.ClipMid, ref.ClipMidNorm, "after12_clipmid"},
	} {
		t.Run(c.name, func(t *testing.T) {
			points, m := runReference(t, ref, c.steps, c.norm)
			for i, p := range points {
				want := c.steps[i]
				if p.Targets != want.Targets || math.Abs(p.LR-want.LR) > 1e-15 || p.PETWeight != want.PETLambda {
					t.Errorf("step %d: targets %d lr %v lambda %v, want %d %v %v", i, p.Targets, p.LR, p.PETWeight, want.Targets, want.LR, want.PETLambda)
				}
				if math.Abs(p.CE-want.CE) > lossTolerance || math.Abs(p.PET-want.PET) > lossTolerance || math.Abs(p.Loss-want.Total) > lossTolerance {
					t.Errorf("step %d: ce %v pet %v total %v, want %v %v %v", i, p.CE, p.PET, p.Loss, want.CE, want.PET, want.Total)
				}
				if math.Abs(p.GradNorm/want.GradNorm-1) > normTolerance {
					t.Errorf("step %d: gradient norm %v, want %v", i, p.GradNorm, want.GradNorm)
				}
			}
			compareParameters(t, m, c.suffix)
		})
	}
}

func readReference(t *testing.T) referenceRun {
	t.Helper()
	var ref referenceRun
	b, err := os.ReadFile(filepath.Join(reference, "train.json"))
	if err == nil {
		err = json.Unmarshal(b, &ref)
	}
	if err != nil || len(ref.F64) != 30 || len(ref.ClipMid) != 12 {
		t.Fatalf("reference run: %d and %d steps (%v)", len(ref.F64), len(ref.ClipMid), err)
	}
	return ref
}

// runReference repeats the run of steps with our own loop, model and optimiser.
func runReference(t *testing.T, ref referenceRun, steps []referenceStep, norm float64) ([]loop.Point, *loop.Phi3) {
	t.Helper()
	be, err := compute.Open("cpu", 2)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = be.Close() })
	folder, err := phi3.OpenFolder(filepath.Join(reference, "tiny-phi3"))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = folder.Close() })
	weights, err := phi3.Load(folder.Config, folder, phi3.StoreF32)
	if err != nil {
		t.Fatal(err)
	}
	var c Config
	with := `{"base":"x","dataset":"x","lora":{"r":8,"alpha":16,"dropout":0},"gate":{"lr_scale":1,"clip":"shared"}}`
	if c, err = parse([]byte(with)); err != nil {
		t.Fatal(err)
	}
	m, err := newModel(be, weights, c, referenceStart(t), 64)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(m.Release)
	adamw := loop.DefaultAdamW
	adamw.MaxNorm = norm
	pet, err := c.pet()
	if err != nil {
		t.Fatal(err)
	}
	var points []loop.Point
	dir := t.TempDir()
	stop := make(chan struct{})
	run := &loop.Run{
		Backend: be, Model: m, Train: referenceRows(t, openReference(t), steps),
		Settings: loop.Settings{
			InOrder: true, Size: loop.Size{Rows: 2}, Accumulation: 2, AdamW: adamw, PET: pet,
			Schedule: loop.Schedule{Kind: "cosine", Peak: ref.LR, Warmup: ref.WarmupSteps, Steps: ref.Steps},
		},
		Curve: filepath.Join(dir, "c"), Metrics: filepath.Join(dir, "m"), Stop: stop,
		OnStep: func(p loop.Point, _ float64) {
			if points = append(points, p); len(points) == len(steps) {
				close(stop)
			}
		},
	}
	if _, err := run.Do(t.Context()); err != nil && len(points) != len(steps) {
		t.Fatal(err)
	}
	return points, m
}

// referenceRows are the sequences in the order that the steps took them.
func referenceRows(t *testing.T, set *safetensors.Set, steps []referenceStep) []loop.Row {
	t.Helper()
	ids, mask, lengths := ints(t, set, "pool.ids"), ints(t, set, "pool.loss_mask"), ints(t, set, "pool.lengths")
	width := len(ids) / len(lengths)
	var rows []loop.Row
	for _, s := range steps {
		for _, q := range s.Sequences {
			var r loop.Row
			for i := range int(lengths[q]) {
				r.Tokens = append(r.Tokens, int32(ids[q*width+i]))
				r.Learn = append(r.Learn, mask[q*width+i] == 1)
			}
			rows = append(rows, r)
		}
	}
	return rows
}

func compareParameters(t *testing.T, m *loop.Phi3, suffix string) {
	t.Helper()
	set := openReference(t)
	a := m.Adapter("")
	got := map[string][]float32{}
	for _, mod := range a.LoRA.Modules {
		got[strings.TrimPrefix(mod.Path, "model.")+".lora_A"] = mod.A
		got[strings.TrimPrefix(mod.Path, "model.")+".lora_B"] = mod.B
	}
	for _, g := range a.Gates.Layers {
		got[fmt.Sprintf("layers.%d.theta", g.Layer)] = g.Theta
	}
	worst, square, norm, compared := 0.0, 0.0, 0.0, 0
	for name, values := range got {
		full := "train." + suffix + "." + name
		if _, ok := set.Info(full); !ok {
			continue
		}
		for i, w := range floats(t, set, full) {
			d := float64(values[i]) - float64(w)
			worst = max(worst, math.Abs(d))
			square += d * d
			norm += float64(w) * float64(w)
			compared++
		}
	}
	if compared == 0 {
		t.Fatalf("nothing to compare for %s", suffix)
	}
	rms := math.Sqrt(square / norm)
	t.Logf("%d parameters: largest difference %.2g, relative rms %.2g", compared, worst, rms)
	if worst > valueTolerance || rms > rmsTolerance {
		t.Errorf("parameters differ by up to %g (limit %g), relative rms %g (limit %g)", worst, valueTolerance, rms, rmsTolerance)
	}
}

func openReference(t *testing.T) *safetensors.Set {
	t.Helper()
	set, err := safetensors.Open(filepath.Join(reference, "train.safetensors"))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = set.Close() })
	return set
}

func floats(t *testing.T, set *safetensors.Set, name string) []float32 {
	t.Helper()
	v, err := set.Floats(name)
	if err != nil {
		t.Fatal(err)
	}
	return v
}

func ints(t *testing.T, set *safetensors.Set, name string) []int64 {
	t.Helper()
	v, err := set.Ints(name)
	if err != nil {
		t.Fatal(err)
	}
	return v
}

// referenceStart is the adapter that the reference run begins with.
func referenceStart(t *testing.T) *so8t.Adapter {
	t.Helper()
	set := openReference(t)
	l := &so8t.LoRA{Rank: 8, Alpha: 16}
	for _, name := range set.Names() {
		path, ok := strings.CutPrefix(name, "train.start.")
		if path, isA := strings.CutSuffix(path, ".lora_A"); ok && isA {
			a, _ := set.Info(name)
			b, _ := set.Info("train.start." + path + ".lora_B")
			l.Modules = append(l.Modules, so8t.Module{Path: "model." + path, In: a.Shape[1], Out: b.Shape[0],
				A: floats(t, set, name), B: floats(t, set, "train.start."+path+".lora_B")})
		}
	}
	return &so8t.Adapter{LoRA: l}
}
