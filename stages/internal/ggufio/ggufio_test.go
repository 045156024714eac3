package ggufio

import (
	"bytes"
	"encoding/binary"
	"os"
	"path/filepath"
	"reflect"
	"testing"

	"github.com/so8t/so8t/stages/internal/quant"
)

var sampleMetadata = []KV{
	{"u8", uint8(1)}, {"i8", int8(-1)}, {"u16", uint16(2)}, {"i16", int16(-2)}, {"u32", uint32(3)}, {"i32", int32(-3)},
	{"u64", uint64(4)}, {"i64", int64(-4)}, {"f32", float32(0.5)}, {"f64", 0.25}, {"yes", true}, {"text", "日本"},
	{"texts", []string{"a", "", "b c"}}, {"ints", []int32{1, -2}}, {"bytes", []uint8{9, 8}}, {"floats", []float32{1.5}},
}

func sample(t testing.TB) []byte {
	t.Helper()
	var b bytes.Buffer
	w, err := NewWriter(&b, sampleMetadata, []TensorInfo{
		{Name: "odd", Dims: []int{3}, Type: quant.F32},
		{Name: "q", Dims: []int{32, 2}, Type: quant.Q8_0},
	})
	if err != nil {
		t.Fatal(err)
	}
	row := make([]float32, 64)
	for i := range row {
		row[i] = float32(i) - 20
	}
	for name, values := range map[string][]float32{"odd": {1, 2, 3}} {
		if err := w.Begin(name); err != nil {
			t.Fatal(err)
		}
		if err := w.WriteFloats(values); err != nil {
			t.Fatal(err)
		}
	}
	if err := w.Begin("q"); err != nil {
		t.Fatal(err)
	}
	if err := w.WriteFloats(row); err != nil {
		t.Fatal(err)
	}
	if err := w.Close(); err != nil {
		t.Fatal(err)
	}
	return b.Bytes()
}

func open(t *testing.T, b []byte) (*File, error) {
	t.Helper()
	path := filepath.Join(t.TempDir(), "x.gguf")
	if err := os.WriteFile(path, b, 0o644); err != nil {
		t.Fatal(err)
	}
	f, err := Open(path)
	if err == nil {
		t.Cleanup(func() { f.Close() })
	}
	return f, err
}

func TestRoundTrip(t *testing.T) {
	f, err := open(t, sample(t))
	if err != nil {
		t.Fatal(err)
	}
	if !reflect.DeepEqual(f.Metadata, sampleMetadata) {
		t.Errorf("metadata came back as %v", f.Metadata)
	}
	q, _ := f.Tensor("q")
	part := make([]float32, 5)
	if err := f.ReadFloats(q, 30, part); err != nil {
		t.Fatal(err)
	}
	for i, v := range part {
		if want := float32(30+i) - 20; v < want-0.2 || v > want+0.2 {
			t.Errorf("element %d is %v, want about %v", 30+i, v, want)
		}
	}
}

func TestWriter_RefusesDisorder(t *testing.T) {
	infos := []TensorInfo{{Name: "a", Dims: []int{2}, Type: quant.F32}, {Name: "b", Dims: []int{2}, Type: quant.F32}}
	w, err := NewWriter(&bytes.Buffer{}, nil, infos)
	if err != nil {
		t.Fatal(err)
	}
	if err := w.Begin("b"); err == nil {
		t.Error("the second tensor may come first")
	}
	w, _ = NewWriter(&bytes.Buffer{}, nil, infos)
	_ = w.Begin("a")
	if err := w.WriteFloats([]float32{1, 2, 3}); err == nil {
		t.Error("a tensor takes more than it has")
	}
	w, _ = NewWriter(&bytes.Buffer{}, nil, infos)
	if err := w.Close(); err == nil {
		t.Error("a file without its tensors is complete")
	}
}

// Each edit breaks one rule; offsets are those of the sample's header.
func TestOpen_RefusesDamage(t *testing.T) {
	good := sample(t)
	if _, err := open(t, good); err != nil {
		t.Fatal(err)
	}
	put := func(at int, v uint64) func(b []byte) {
		return func(b []byte) { binary.LittleEndian.PutUint64(b[at:], v) }
	}
	find := func(text string) int { return bytes.Index(good, []byte(text)) }
	for name, edit := range map[string]func(b []byte){
		"magic":                   func(b []byte) { b[0] = 'X' },
		"version":                 func(b []byte) { b[4] = 9 },
		"too many tensors":        put(8, 1<<60),
		"too many entries":        put(16, 1<<60),
		"string beyond the file":  put(24, 1<<62),
		"key twice":               func(b []byte) { copy(b[find("i8\x01")-0:], "u8") },
		"unknown value type":      func(b []byte) { b[find("u16")+3] = 99 },
		"unknown tensor type":     func(b []byte) { b[find("odd")+3+4+8] = 77 },
		"five dimensions":         func(b []byte) { b[find("odd")+3] = 5 },
		"dimension of zero":       put(find("odd")+3+4, 0),
		"dimension of 2^40":       put(find("odd")+3+4, 1<<40),
		"offset inside another":   put(find("q\x02\x00\x00\x00")+1+4+16+4, 8),
		"boolean of seven":        func(b []byte) { b[find("yes")+3+4] = 7 },
		"columns without a block": put(find("q\x02\x00\x00\x00")+1+4, 31),
	} {
		b := append([]byte(nil), good...)
		edit(b)
		if _, err := open(t, b); err == nil {
			t.Errorf("%s: accepted", name)
		}
	}
}

func FuzzOpen(f *testing.F) {
	f.Add(sample(f))
	f.Add([]byte("GGUF"))
	f.Fuzz(func(t *testing.T, b []byte) {
		g, err := parse("fuzz", bytes.NewReader(b), int64(len(b)))
		if err == nil && len(g.Tensors) > len(b) {
			t.Error("more tensors than bytes")
		}
	})
}
