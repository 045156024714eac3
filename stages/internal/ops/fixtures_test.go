package ops_test

import (
	"encoding/binary"
	"math"
	"strings"
	"testing"

	"github.com/nlpodyssey/spago/ag"

	"github.com/so8t/so8t/stages/internal/backend"
	"github.com/so8t/so8t/stages/internal/backend/cpu"
	"github.com/so8t/so8t/stages/internal/ops"
	"github.com/so8t/so8t/stages/internal/safetensors"
	"github.com/so8t/so8t/stages/internal/tensor"
)

// Allowed differences, of the largest number: float64 and float32 arithmetic.
const (
	limit64 = 1e-10
	limit32 = 1e-5
)

func backends(t *testing.T) map[float64]backend.Backend {
	return map[float64]backend.Backend{limit64: cpu.OpenReference(), limit32: openCPU(t, cpu.Options{BLAS: "none"})}
}

func open(t *testing.T, name string) *safetensors.Set {
	t.Helper()
	s, err := safetensors.Open("testdata/" + name + ".safetensors")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { s.Close() })
	return s
}

// doubles reads an F64 or F32 tensor.
func doubles(t *testing.T, s *safetensors.Set, name string) []float64 {
	t.Helper()
	b, err := s.Bytes(name)
	if err != nil {
		t.Fatal(err)
	}
	info, _ := s.Info(name)
	v := make([]float64, info.Len())
	for i := range v {
		if info.DType == safetensors.F32 {
			v[i] = float64(math.Float32frombits(binary.LittleEndian.Uint32(b[4*i:])))
		} else {
			v[i] = math.Float64frombits(binary.LittleEndian.Uint64(b[8*i:]))
		}
	}
	return v
}

func put(be backend.Backend, v []float64) backend.Buffer {
	b := be.NewBuffer(len(v))
	be.Upload64(b, v)
	return b
}

func compare(t *testing.T, be backend.Backend, name string, got backend.Buffer, want []float64, limit float64) {
	t.Helper()
	g := make([]float64, len(want))
	be.Download64(g, got)
	top := 1e-20 // below this everything is rounding: the second difference of a ramp
	for _, w := range want {
		top = max(top, math.Abs(w))
	}
	for i, w := range want {
		if !(math.Abs(g[i]-w) <= limit*top) {
			t.Errorf("%s[%d] = %g, want %g (limit %g of %g)", name, i, g[i], w, limit, top)
			return
		}
	}
}

func TestGateFixtures(t *testing.T) {
	set := open(t, "gate")
	cases := 0
	for _, name := range set.Names() {
		prefix, ok := strings.CutSuffix(name, ".theta")
		if !ok {
			continue
		}
		cases++
		for limit, be := range everywhere(t) {
			if limit != limit64 && (strings.HasSuffix(prefix, ".100") || strings.HasSuffix(prefix, "mixed")) {
				limit = 2e-4 // theta itself is rounded to float32, and the map is steep there
			}
			th := doubles(t, set, name)
			theta := tensor.NewParam(be, "theta", len(th)/28, 28, nil)
			be.Upload64(theta.Tensor().Buffer(), th)
			sc := be.NewScope()
			cols := len(th) / 28 * 8
			x := tensor.Wrap(be, sc, put(be, doubles(t, set, prefix+".x")), 5, cols)
			x.SetRequiresGrad(true)
			y := ops.Gate(x, theta)
			y.AccGrad(tensor.Wrap(be, sc, put(be, doubles(t, set, prefix+".dy")), 5, cols))
			if err := ag.Backward(y); err != nil {
				t.Fatal(err)
			}
			compare(t, be, prefix+".y", tensor.Of(y).Buffer(), doubles(t, set, prefix+".y"), limit)
			compare(t, be, prefix+".dx", tensor.Of(x.Grad()).Buffer(), doubles(t, set, prefix+".dx"), limit)
			compare(t, be, prefix+".dtheta", theta.GradBuffer(), doubles(t, set, prefix+".dtheta"), limit)
			r := be.NewBuffer(8 * cols)
			be.Cayley(r, theta.Tensor().Buffer(), cols/8)
			compare(t, be, prefix+".R", r, doubles(t, set, prefix+".R"), limit)
			if err := be.Err(); err != nil {
				t.Fatal(err)
			}
		}
	}
	if cases < 8 {
		t.Errorf("only %d cases found", cases)
	}
}

func TestPETFixtures(t *testing.T) {
	set := open(t, "pet")
	cases := 0
	for _, name := range set.Names() {
		prefix, ok := strings.CutSuffix(name, ".h")
		if !ok {
			continue
		}
		cases++
		info, _ := set.Info(name)
		rows, d := info.Shape[0]*info.Shape[1], info.Shape[2]
		ids, err := set.Ints(prefix + ".segments")
		if err != nil {
			t.Fatal(err)
		}
		pack := segmentsOf(ids, info.Shape[1])
		for limit, be := range everywhere(t) {
			if limit != limit64 && strings.HasSuffix(prefix, "ramp") {
				continue // the second difference of a ramp is rounding only
			}
			sc := be.NewScope()
			h := tensor.Wrap(be, sc, put(be, doubles(t, set, name)), rows, d)
			h.SetRequiresGrad(true)
			pk := be.Pack(pack)
			v := ops.PET(h, pk, 1/float64(max(1, pk.Triples())))
			if err := ag.Backward(v); err != nil {
				t.Fatal(err)
			}
			compare(t, be, prefix+".value", tensor.Of(v).Buffer(), doubles(t, set, prefix+".value"), limit)
			compare(t, be, prefix+".grad", tensor.Of(h.Grad()).Buffer(), doubles(t, set, prefix+".grad_segment"), limit)
		}
	}
	if cases < 8 {
		t.Errorf("only %d cases found", cases)
	}
}

// segmentsOf cuts rows of length width at every change of id.
func segmentsOf(ids []int64, width int) backend.PackingData {
	d := backend.PackingData{Rows: len(ids)}
	for i, id := range ids {
		switch {
		case id < 0:
		case i%width > 0 && ids[i-1] == id:
			d.Segments[len(d.Segments)-1].Len++
		default:
			d.Segments = append(d.Segments, backend.Segment{Start: i, Len: 1})
		}
	}
	return d
}

func TestInt8Fixtures(t *testing.T) {
	set := open(t, "int8")
	raw, err := set.Bytes("int8.codes")
	if err != nil {
		t.Fatal(err)
	}
	codes := make([]int8, len(raw))
	for i, b := range raw {
		codes[i] = int8(b)
	}
	scales, err := set.Floats("int8.scale")
	if err != nil {
		t.Fatal(err)
	}
	// Rows of enormous numbers hide the others from a relative limit: take the fixture's rows one at a time.
	for limit, be := range everywhere(t) {
		w := be.NewWeight(backend.WeightData{Kind: backend.Int8, Rows: 24, Cols: 100, Int8: codes, Scales: scales})
		x, dy := put(be, doubles(t, set, "int8.x")), put(be, doubles(t, set, "int8.dy"))
		want := doubles(t, set, "int8.y_f64")
		for r := range 24 {
			y := be.NewBuffer(5)
			be.Linear(y, x, be.WeightRows(w, r, r+1), 5, 0)
			column := []float64{want[r], want[24+r], want[48+r], want[72+r], want[96+r]}
			compare(t, be, "y", y, column, limit)
		}
		gx := be.NewBuffer(500)
		be.LinearBack(gx, dy, w, 5, 0)
		compare(t, be, "dx", gx, doubles(t, set, "int8.dx_f64"), limit)
	}
}
