package so8t

import (
	"encoding/binary"
	"math"
	"path/filepath"
	"testing"

	"github.com/so8t/so8t/stages/internal/safetensors"
)

// fixture reads f64 (or widened f32) tensors of a testdata file.
type fixture struct {
	t   *testing.T
	set *safetensors.Set
}

func openFixture(t *testing.T, name string) fixture {
	t.Helper()
	set, err := safetensors.Open(filepath.Join("testdata", name))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { set.Close() })
	return fixture{t, set}
}

func (f fixture) f64(name string) []float64 {
	f.t.Helper()
	info, ok := f.set.Info(name)
	raw, err := f.set.Bytes(name)
	if !ok || err != nil || info.DType != safetensors.F64 {
		f.t.Fatalf("tensor %q: %v, %v", name, info.DType, err)
	}
	out := make([]float64, info.Len())
	for i := range out {
		out[i] = math.Float64frombits(binary.LittleEndian.Uint64(raw[8*i:]))
	}
	return out
}

// far is the largest distance between two vectors.
func far(a, b []float64) (d float64) {
	for i := range a {
		d = math.Max(d, math.Abs(a[i]-b[i]))
	}
	return d
}

func rotations64(theta []float64) (out []Matrix) {
	for n := 0; n < len(theta); n += Params {
		out = append(out, Rotation(theta[n:n+Params]))
	}
	return out
}

func flat(r []Matrix) (out []float64) {
	for _, m := range r {
		out = append(out, m[:]...)
	}
	return out
}

var gateCases = []string{"0", "1e-06", "0.001", "0.3", "3", "100", "plane12_a2", "mixed"}

// Limits: the fixture's own noise is 2e-14; gradients scale with their size.
func TestGate_EqualsReference(t *testing.T) {
	f := openFixture(t, "gate.safetensors")
	for _, name := range gateCases {
		t.Run(name, func(t *testing.T) {
			get := func(k string) []float64 { return f.f64("gate." + name + "." + k) }
			r := rotations64(get("theta"))
			if d := far(flat(r), get("R")); d > 1e-12 {
				t.Errorf("R is off by %g", d)
			}
			if o := CheckOrthogonality(r); o.MaxError > 1e-12 || o.DetError > 1e-12 {
				t.Errorf("not in SO(8): %+v", o)
			}
		})
	}
}

func TestGate_ZeroIsExactlyTheIdentity(t *testing.T) {
	r := Rotations(make([]float32, 3*Params))
	for n, m := range r {
		for i := range Block {
			for j := range Block {
				if want := map[bool]float64{true: 1, false: 0}[i == j]; m[i*Block+j] != want {
					t.Fatalf("block %d: R[%d,%d] = %v", n, i, j, m[i*Block+j])
				}
			}
		}
	}
}

func TestFold_EqualsGateAfterTheLayer(t *testing.T) {
	f := openFixture(t, "gate.safetensors")
	for _, name := range gateCases {
		w, want := f.f64("gate."+name+".W"), f.f64("gate."+name+".W_folded")
		rows := make([]float32, len(w))
		for i, v := range w {
			rows[i] = float32(v)
		}
		r := rotations64(f.f64("gate." + name + ".theta"))
		// In two chunks, as a streaming caller does.
		const cols = 11
		if err := FoldRows(r[:1], rows[:Block*cols], cols); err != nil {
			t.Fatal(err)
		}
		if err := FoldRows(r[1:], rows[Block*cols:], cols); err != nil {
			t.Fatal(err)
		}
		for i, v := range rows {
			if math.Abs(float64(v)-want[i]) > 2e-6 { // two roundings to f32 of values up to 9
				t.Fatalf("%s: W'[%d] = %v, expected %v", name, i, v, want[i])
			}
		}
	}
	if FoldRows(make([]Matrix, 1), make([]float32, 7), 1) == nil {
		t.Error("seven rows were folded by a block of eight")
	}
}

// W = diag(1..8) with a quarter turn in the plane (1,2): RᵀW and WR differ in sign and
// place, so a wrong side or a missing transpose shows.
func TestFold_Convention(t *testing.T) {
	theta := make([]float64, Params)
	theta[0] = 2
	w := make([]float32, Block*Block)
	for i := range Block {
		w[i*Block+i] = float32(i + 1)
	}
	if err := FoldRows([]Matrix{Rotation(theta)}, w, Block); err != nil {
		t.Fatal(err)
	}
	if w[0] != 0 || w[1] != -2 || w[Block] != 1 || w[Block+1] != 0 {
		t.Errorf("rows 0 and 1 begin %v, %v", w[:2], w[Block:Block+2])
	}
}

func TestMergeRows(t *testing.T) {
	w := []float32{1, 2, 3, 4, 5, 6} // [2, 3]
	a := []float32{1, 0, -1, 2, 1, 0}
	b := []float32{1, 10, 0, -1} // [2, 2]
	if err := MergeRows(w, a, b, 3, 2, 0.5); err != nil {
		t.Fatal(err)
	}
	want := []float32{1 + .5*(1+20), 2 + .5*10, 3 + .5*-1, 4 + .5*-2, 5 + .5*-1, 6}
	for i := range w {
		if w[i] != want[i] {
			t.Fatalf("merged %v, expected %v", w, want)
		}
	}
	if MergeRows(w, a, b[:3], 3, 2, 1) == nil {
		t.Error("B of a wrong size was accepted")
	}
}

func TestAngles(t *testing.T) {
	theta := make([]float32, Params)
	theta[0] = 2 // plane (0,1): 2·atan(1) = a quarter turn
	a := MeasureAngles(theta)
	if math.Abs(a.Max-math.Pi/2) > 1e-12 || math.Abs(a.Mean-math.Pi/8) > 1e-9 {
		t.Errorf("angles %+v; expected max π/2, mean π/8", a)
	}
	// Against the trace: Σ over planes 2·cos(angle) = tr R.
	for i := range theta {
		theta[i] = float32(math.Sin(float64(7*i))) / 2
	}
	wide := make([]float64, Params)
	for i, v := range theta {
		wide[i] = float64(v)
	}
	trace, sum := 0.0, 0.0
	r := Rotation(wide)
	for i := range Block {
		trace += r[i*Block+i]
	}
	for _, p := range planes(wide) {
		sum += 2 * math.Cos(p)
	}
	if math.Abs(trace-sum) > 1e-10 {
		t.Errorf("angles give a trace of %v, R has %v", sum, trace)
	}
}

func TestCheckTheta(t *testing.T) {
	if err := CheckTheta(make([]float32, 2*Params), 16); err != nil {
		t.Error(err)
	}
	nan := make([]float32, Params)
	nan[3] = float32(math.NaN())
	for name, err := range map[string]error{
		"width": CheckTheta(nil, 12), "count": CheckTheta(make([]float32, 3), 8), "nan": CheckTheta(nan, 8),
	} {
		if err == nil {
			t.Errorf("%s was accepted", name)
		}
	}
}

// The closed forms of one plane (1,2): cos = (1 - a²/4)/(1 + a²/4), sin = a/(1 + a²/4); a = 2 is a
// quarter turn.
func TestRotation_OnePlane(t *testing.T) {
	for _, a := range []float64{1e-3, 0.5, 2, 40, 1e6} {
		theta := make([]float64, Params)
		theta[0] = a
		r, c, s := Rotation(theta), (1-a*a/4)/(1+a*a/4), a/(1+a*a/4)
		want := [4]float64{c, s, -s, c}
		if got := [4]float64{r[0], r[1], r[Block], r[Block+1]}; far(got[:], want[:]) > 1e-15 {
			t.Errorf("a = %v: %v, expected %v", a, got, want)
		}
	}
}

// A block's rotation is its own, whatever stands beside it: angles of 1e-4 beside angles of 100.
func TestRotations_BlocksStandAlone(t *testing.T) {
	sizes := []float64{1e-4, 100, 0.01, 3}
	var theta []float32
	for n, size := range sizes {
		for p := range Params {
			theta = append(theta, float32(size*math.Sin(float64(1+p+Params*n))))
		}
	}
	for n, m := range Rotations(theta) {
		if alone := Rotations(theta[n*Params : (n+1)*Params])[0]; alone != m {
			t.Errorf("block %d of size %v is another when it stands alone", n, sizes[n])
		}
	}
}
