package phi3

import (
	"errors"
	"reflect"
	"strings"
	"testing"

	"github.com/so8t/so8t/stages/internal/so8t"
)

func TestMerged_EqualsReferenceInAnyChunks(t *testing.T) {
	f, err := OpenFolder("testdata/tiny-phi3")
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	m, err := NewMerged(f.Config, f, loraFixture(t))
	if err != nil {
		t.Fatal(err)
	}
	want := openFixture(t, "lora_merged.safetensors")
	compare := func(limit float64) {
		for _, name := range want.set.Names() {
			v := want.f64(name)
			got := make([]float32, len(v))
			if err := m.ReadFloats(name, 0, got); err != nil {
				t.Fatal(err)
			}
			if d := far(got, v); d > limit {
				t.Errorf("%s is off by %g", name, d)
			}
		}
	}
	compare(1e-7) // one rounding of values below 1
	m.Accelerate(single(t))
	compare(3e-7) // f32 sums over the rank
	m.Release()
	gated := openFixture(t, "gated.safetensors")
	a := &so8t.Adapter{LoRA: loraFixture(t).LoRA, Gates: gatesFixture(gated, "lora_and_gates")}
	if m, err = NewMerged(f.Config, f, a); err != nil {
		t.Fatal(err)
	}
	whole := make([]float32, 64*64)
	if err := m.ReadFloats(moduleName(0, O), 0, whole); err != nil {
		t.Fatal(err)
	}
	if d := far(whole, gated.f64("model.lora_and_gates.layers.0.o_proj_merged_and_folded")); d > 2e-7 {
		t.Errorf("merged and folded is off by %g", d)
	}
	for _, step := range []int{1, 63, 64 * 3, 64*8 + 5, 4000} {
		var pieces []float32
		for at := 0; at < len(whole); at += step {
			part := make([]float32, min(step, len(whole)-at))
			if err := m.ReadFloats(moduleName(0, O), at, part); err != nil {
				t.Fatal(err)
			}
			pieces = append(pieces, part...)
		}
		if !reflect.DeepEqual(pieces, whole) {
			t.Errorf("in pieces of %d another matrix is read", step)
		}
	}
	if m.ReadFloats(moduleName(0, O), 4090, make([]float32, 10)) == nil {
		t.Error("a read past the end was answered")
	}
}

func TestCheckAdapter_ReportsEveryProblem(t *testing.T) {
	c, err := ReadConfig("testdata/tiny-phi3-b")
	if err != nil {
		t.Fatal(err)
	}
	a := loraFixture(t)
	a.Gates = &so8t.Gates{Hidden: 64, Layers: []so8t.Gate{{Layer: 1, Theta: make([]float32, 8*so8t.Params)}, {Layer: 9}}}
	err = CheckAdapter(c, a)
	var input *InputError
	if !errors.As(err, &input) || len(input.Problems) != 14 {
		t.Fatalf("%v", err)
	}
	for _, want := range []string{"for a layer of 128×64; the model's is 192×96", `"model.layers.2.mlp.down_proj" is not part`, "layer 9", "expected 336"} {
		if !strings.Contains(err.Error(), want) {
			t.Errorf("%q is not in: %v", want, err)
		}
	}
}
