package phi3

import (
	"encoding/binary"
	"math"
	"path/filepath"
	"testing"

	"github.com/so8t/so8t/stages/internal/backend"
	"github.com/so8t/so8t/stages/internal/backend/cpu"
	"github.com/so8t/so8t/stages/internal/safetensors"
)

// fixture reads tensors of a testdata file in full precision.
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
	if !ok || err != nil {
		f.t.Fatalf("tensor %q: %v", name, err)
	}
	out := make([]float64, info.Len())
	for i := range out {
		switch info.DType {
		case safetensors.F64:
			out[i] = math.Float64frombits(binary.LittleEndian.Uint64(raw[8*i:]))
		case safetensors.F32:
			out[i] = float64(math.Float32frombits(binary.LittleEndian.Uint32(raw[4*i:])))
		default:
			f.t.Fatalf("tensor %q is %s", name, info.DType)
		}
	}
	return out
}

func (f fixture) f32(name string) []float32 {
	f.t.Helper()
	v, err := f.set.Floats(name)
	if err != nil {
		f.t.Fatal(err)
	}
	return v
}

func (f fixture) ints(name string) []int32 {
	f.t.Helper()
	v, err := f.set.Ints(name)
	if err != nil {
		f.t.Fatal(err)
	}
	out := make([]int32, len(v))
	for i := range v {
		out[i] = int32(v[i])
	}
	return out
}

// shape is [rows, columns] of a matrix.
func (f fixture) shape(name string) (int, int) {
	f.t.Helper()
	info, ok := f.set.Info(name)
	if !ok || len(info.Shape) != 2 {
		f.t.Fatalf("tensor %q has shape %v", name, info.Shape)
	}
	return info.Shape[0], info.Shape[1]
}

// far is the largest distance between two vectors; a length that differs is infinite.
func far[T, U float32 | float64](a []T, b []U) (d float64) {
	if len(a) != len(b) {
		return math.Inf(1)
	}
	for i := range a {
		if x := math.Abs(float64(a[i]) - float64(b[i])); !(x <= d) { // also NaN
			d = x
		}
	}
	return d
}

func largest(a []float64) float64 { return far(a, make([]float64, len(a))) }

// machine is a backend with the limits that a comparison on it has to keep.
type machine struct {
	name   string
	open   func(t *testing.T) backend.Backend
	logits float64 // largest distance of a logit
	grad   float64 // of a gradient, relative to the tensor's largest
}

// The float64 reference differs from the fixture by rounding alone (seen: 5e-14); float32
// is allowed what transformers' float32 needs, several times over.
var machines = []machine{
	{"reference", reference, 1e-9, 1e-9},
	{"cpu", single, 5e-4, 1e-4},
}

func reference(t *testing.T) backend.Backend {
	be := cpu.OpenReference()
	t.Cleanup(func() { be.Close() })
	return be
}

func single(t *testing.T) backend.Backend {
	t.Helper()
	be, err := cpu.Open(cpu.Options{Threads: 2, BLAS: "none"})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { be.Close() })
	return be
}

func load(t *testing.T, model string, store Storage) *Weights {
	t.Helper()
	f, err := OpenFolder(filepath.Join("testdata", model))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { f.Close() })
	w, err := Load(f.Config, f, store)
	if err != nil {
		t.Fatal(err)
	}
	return w
}

// read downloads a buffer in full precision.
func read(be backend.Backend, b backend.Buffer) []float64 {
	out := make([]float64, b.Len())
	be.Download64(out, b)
	return out
}

// batchOf packs rows of a fixture [B, T] with segments (-1 is padding, left out) and loss
// masks: every row, or every segment of one, becomes a sequence.
func (f fixture) batchOf(prefix string) Batch {
	f.t.Helper()
	rows, T := f.shape(prefix + "ids")
	ids, mask, seg := f.ints(prefix+"ids"), f.ints(prefix+"loss_mask"), f.ints(prefix+"segments")
	var b Batch
	for r := range rows {
		for lo := r * T; lo < (r+1)*T; {
			hi := lo + 1
			for hi < (r+1)*T && seg[hi] == seg[lo] {
				hi++
			}
			if seg[lo] >= 0 {
				b.add(ids[lo:hi], mask[lo:hi])
			}
			lo = hi
		}
	}
	b.Packing.Rows = len(b.Tokens)
	return b
}

// add appends a sequence; mask[t] = 1 makes token t a target.
func (b *Batch) add(ids, mask []int32) {
	b.Packing.Segments = append(b.Packing.Segments, backend.Segment{Start: len(b.Tokens), Len: len(ids), ID: uint64(len(b.Packing.Segments))})
	b.Tokens = append(b.Tokens, ids...)
	for t := 1; t <= len(ids); t++ {
		target := int32(-1)
		if t < len(ids) && mask[t] == 1 {
			target = ids[t]
		}
		b.Targets = append(b.Targets, target)
	}
	b.Packing.Rows = len(b.Tokens)
}

func (b Batch) targets() (n int) {
	for _, t := range b.Targets {
		if t >= 0 {
			n++
		}
	}
	return n
}
