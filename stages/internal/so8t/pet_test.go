package so8t

import (
	"encoding/json"
	"math"
	"os"
	"testing"
)

type petFile struct {
	Schedule [][2]float64
	Cases    map[string]struct {
		Shape   []int
		Triples int
		Value   float64 `json:"value_segment"`
	}
}

func readPET(t *testing.T) (p petFile) {
	t.Helper()
	text, err := os.ReadFile("testdata/pet.json")
	if err == nil {
		err = json.Unmarshal(text, &p)
	}
	if err != nil || len(p.Cases) < 10 {
		t.Fatalf("%d cases, %v", len(p.Cases), err)
	}
	return p
}

func TestPET_EqualsReference(t *testing.T) {
	f := openFixture(t, "pet.safetensors")
	for name, c := range readPET(t).Cases {
		t.Run(name, func(t *testing.T) {
			h, want := f.f64("pet."+name+".h"), f.f64("pet."+name+".grad_segment")
			ids, err := f.set.Ints("pet." + name + ".segments")
			if err != nil {
				t.Fatal(err)
			}
			rows, T, d := c.Shape[0], c.Shape[1], c.Shape[2]
			grad := make([]float64, len(h))
			segments := make([]int32, len(ids))
			triples, value := 0, 0.0
			for i, s := range ids {
				segments[i] = int32(s)
			}
			for b := range rows {
				triples += Triples(segments[b*T : (b+1)*T])
			}
			if triples != c.Triples {
				t.Errorf("%d triples, expected %d", triples, c.Triples)
			}
			for b := range rows {
				lo, hi := b*T*d, (b+1)*T*d
				value += PET(h[lo:hi], d, segments[b*T:(b+1)*T], triples, grad[lo:hi])
			}
			if math.Abs(value-c.Value) > 1e-13*math.Max(1, c.Value) {
				t.Errorf("value %v, expected %v", value, c.Value)
			}
			if far(grad, want) > 1e-12*math.Max(1, largest(want)) {
				t.Errorf("gradient is off by %g of %g", far(grad, want), largest(want))
			}
		})
	}
}

func TestSchedule(t *testing.T) {
	for _, c := range readPET(t).Schedule {
		if got := DefaultSchedule.At(c[0]); got != c[1] {
			t.Errorf("at %v: %v, expected %v", c[0], got, c[1])
		}
	}
	if DefaultSchedule.Check() != nil {
		t.Error("the default was refused")
	}
	for _, s := range []Schedule{
		{Boundaries: [2]float64{0.7, 0.3}}, {Boundaries: [2]float64{0, 1.5}}, {Weights: [3]float64{0, -1, 0}}, {Weights: [3]float64{math.NaN()}},
	} {
		if s.Check() == nil {
			t.Errorf("%+v was accepted", s)
		}
	}
}
