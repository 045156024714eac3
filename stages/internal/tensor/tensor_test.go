package tensor_test

import (
	"context"
	"strings"
	"testing"

	"github.com/nlpodyssey/spago/mat"

	"github.com/so8t/so8t/stages/internal/backend"
	"github.com/so8t/so8t/stages/internal/backend/cpu"
	"github.com/so8t/so8t/stages/internal/tensor"
)

func filled(be backend.Backend, sc backend.Scope, v float64) *tensor.Tensor {
	t := tensor.New(be, sc, 2, 3)
	be.Fill(t.Buffer(), v)
	return t
}

func first(t *tensor.Tensor) float64 { return t.Data().F64()[0] }

func TestGradientsAccumulateWithoutTouchingSharedOnes(t *testing.T) {
	be := cpu.OpenReference()
	sc := be.NewScope()
	x, y := filled(be, sc, 0), filled(be, sc, 0)
	g := filled(be, sc, 1)
	if x.HasGrad() || x.Grad() != nil {
		t.Fatal("a new tensor has a gradient")
	}
	x.AccGrad(g)
	y.AccGrad(g) // both hold g now
	x.AccGrad(filled(be, sc, 10))
	if got := first(tensor.Of(x.Grad())); got != 11 {
		t.Errorf("sum is %g, want 11", got)
	}
	if got := first(tensor.Of(y.Grad())); got != 1 {
		t.Errorf("the other holder's gradient changed to %g", got)
	}
	x.AccGrad(filled(be, sc, 100))
	if got := first(tensor.Of(x.Grad())); got != 111 {
		t.Errorf("sum is %g, want 111", got)
	}
}

func TestConsumedGradientIsReused(t *testing.T) {
	be := cpu.OpenReference()
	sc := be.NewScope()
	x := filled(be, sc, 0)
	g := filled(be, sc, 1)
	x.AccGrad(g)
	before := be.Counters().Allocations
	tensor.Done(x.Grad())
	filled(be, sc, 5)
	if n := be.Counters().Allocations - before; n != 0 {
		t.Errorf("%d allocations although a gradient was given back", n)
	}
}

func TestParameterGradientStaysAcrossScopes(t *testing.T) {
	be := cpu.OpenReference()
	sc := be.NewScope()
	p := tensor.NewParam(be, "w", 2, 3, []float32{1, 2, 3, 4, 5, 6})
	p.AccGrad(filled(be, sc, 2))
	sc.End()
	p.AccGrad(filled(be, sc, 3))
	sc.End()
	if got := first(tensor.Of(p.Grad())); got != 5 {
		t.Errorf("gradient is %g, want 5", got)
	}
	p.ZeroGrad()
	if p.HasGrad() {
		t.Error("gradient after ZeroGrad")
	}
	p.AccGrad(filled(be, sc, 7))
	if got := first(tensor.Of(p.Grad())); got != 7 {
		t.Errorf("gradient after ZeroGrad is %g, want 7", got)
	}
}

func TestWrongShapeIsLatched(t *testing.T) {
	be := cpu.OpenReference()
	sc := be.NewScope()
	filled(be, sc, 0).AccGrad(tensor.New(be, sc, 3, 2))
	if err := be.Err(); err == nil || !strings.Contains(err.Error(), "3x2 does not fit 2x3") {
		t.Errorf("error is %v", err)
	}
}

func TestStreamKeepsTheOrder(t *testing.T) {
	be := cpu.OpenReference()
	ps := tensor.Params{tensor.NewParam(be, "b", 1, 1, nil), tensor.NewParam(be, "a", 1, 1, nil)}
	i := 0
	for p := range ps.Stream(context.Background()) {
		if p != ps[i].Param {
			t.Errorf("parameter %d is another", i)
		}
		i++
	}
	if i != 2 {
		t.Errorf("%d parameters streamed, want 2", i)
	}
	ctx, cancel := context.WithCancel(context.Background())
	cancel()
	for range ps.Stream(ctx) { // must end, whatever it still delivers
	}
}

func TestOtherMethodsPanicWithTheirName(t *testing.T) {
	defer func() {
		if r := recover(); r == nil || !strings.Contains(r.(string), "mat.Matrix.Softmax") {
			t.Errorf("panic is %v", r)
		}
	}()
	be := cpu.OpenReference()
	var m mat.Matrix = filled(be, be.NewScope(), 1)
	m.Softmax()
}

func TestItemAndShape(t *testing.T) {
	be := cpu.OpenReference()
	s := filled(be, be.NewScope(), 1).NewScalar(2.5)
	if v := s.Item().F64(); v != 2.5 {
		t.Errorf("item is %g", v)
	}
	x := filled(be, be.NewScope(), 1)
	x.Shape()[0] = 99
	if x.Shape()[0] != 2 {
		t.Error("the shape can be changed from outside")
	}
}
