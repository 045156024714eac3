package so8t

import (
	"encoding/json"
	"math"
	"os"
	"testing"
)

type petFile struct {
	Schedule [][2]float64
}

func readPET(t *testing.T) (p petFile) {
	t.Helper()
	text, err := os.ReadFile("testdata/pet.json")
	if err == nil {
		err = json.Unmarshal(text, &p)
	}
	if err != nil || len(p.Schedule) < 5 {
		t.Fatalf("%d places, %v", len(p.Schedule), err)
	}
	return p
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
