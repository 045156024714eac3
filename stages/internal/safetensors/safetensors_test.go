package safetensors

import (
	"bytes"
	"encoding/binary"
	"errors"
	"io"
	"io/fs"
	"math"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
)

// testdata/int8.safetensors was written by Hugging Face's library.
func reference(t testing.TB) []byte {
	t.Helper()
	b, err := os.ReadFile("testdata/int8.safetensors")
	if err != nil {
		t.Fatal(err)
	}
	return b
}

func TestEncode_SameTensors_SameBytesAsHuggingFace(t *testing.T) {
	s, err := Open("testdata/int8.safetensors")
	if err != nil {
		t.Fatal(err)
	}
	defer s.Close()
	var tensors []Tensor
	for _, name := range s.Names() {
		info, _ := s.Info(name)
		raw, err := s.Bytes(name)
		if err != nil {
			t.Fatal(err)
		}
		tensors = append(tensors, FromBytes(name, info.DType, info.Shape, raw))
	}
	Sort(tensors)
	var out bytes.Buffer
	if err := Encode(&out, tensors, s.Metadata()); err != nil {
		t.Fatal(err)
	}
	if !bytes.Equal(out.Bytes(), reference(t)) {
		t.Error("bytes differ from the file they came from")
	}
}

func TestHalf_AllValues_RoundTrip(t *testing.T) {
	for i := range 1 << 16 {
		h := uint16(i)
		f := HalfToFloat(h)
		if f != f {
			if FloatToHalf(f)&0x7c00 != 0x7c00 || FloatToHalf(f)&0x3ff == 0 {
				t.Fatalf("%#04x: NaN became %#04x", h, FloatToHalf(f))
			}
			continue
		}
		if got := FloatToHalf(f); got != h {
			t.Fatalf("%#04x → %g → %#04x", h, f, got)
		}
	}
	for _, c := range []struct {
		f float32
		h uint16
	}{
		{65519.996, 0x7bff}, {65520, 0x7c00}, {1e30, 0x7c00}, {5.9604645e-8, 1}, {2.9802322e-8, 0}, {2.9802326e-8, 1},
		{1 + 1.0/2048, 0x3c00}, {1 + 3.0/2048, 0x3c02}, {-1, 0xbc00}, {6.1006e-5, 0x0400},
	} {
		if got := FloatToHalf(c.f); got != c.h {
			t.Errorf("FloatToHalf(%g) = %#04x, want %#04x", c.f, got, c.h)
		}
	}
}

func TestBrain_Ties_ToEven(t *testing.T) {
	for _, c := range []struct {
		bits uint32
		want uint16
	}{{0x3f808000, 0x3f80}, {0x3f818000, 0x3f82}, {0x3f808001, 0x3f81}, {0x7f7fffff, 0x7f80}, {0x7f800001, 0x7fc0}, {0xff800000, 0xff80}} {
		if got := FloatToBrain(math.Float32frombits(c.bits)); got != c.want {
			t.Errorf("%#08x → %#04x, want %#04x", c.bits, got, c.want)
		}
	}
}

func TestFolder_Sharded_ReadsLikeOneFile(t *testing.T) {
	dir := t.TempDir()
	data := []float32{1, -2, 0.5, 3, 65504, 0}
	tensors := []Tensor{
		FromFloats("b", F16, []int{2, 3}, data),
		FromFloats("a", F32, []int{6}, data),
		FromFloats("c", BF16, []int{1, 6}, []float32{1, -2, 0.5, 3, 65536, 0}),
		FromBytes("n", I8, []int{2}, []byte{0xff, 3}),
		FromBytes("scalar", I64, nil, binary.LittleEndian.AppendUint64(nil, 1<<40)),
		FromBytes("empty", F32, []int{0, 4}, nil),
	}
	if err := WriteFolder(dir, tensors, nil, 30); err != nil {
		t.Fatal(err)
	}
	s, err := Open(dir)
	if err != nil {
		t.Fatal(err)
	}
	defer s.Close()
	if len(s.Paths()) < 2 {
		t.Errorf("%d shards", len(s.Paths()))
	}
	if want := []string{"a", "b", "c", "empty", "n", "scalar"}; !slices.Equal(s.Names(), want) {
		t.Errorf("names %v", s.Names())
	}
	for _, name := range []string{"a", "b"} {
		got, err := s.Floats(name)
		if err != nil || !slices.Equal(got, data) {
			t.Errorf("%s: %v, %v", name, got, err)
		}
	}
	part := make([]float32, 2)
	if err := s.ReadFloats("b", 3, part); err != nil || part[0] != 3 || part[1] != 65504 {
		t.Errorf("rows: %v, %v", part, err)
	}
	if err := s.ReadFloats("b", 5, part); err == nil {
		t.Error("reading past the end is no error")
	}
	if n, err := s.Ints("n"); err != nil || !slices.Equal(n, []int64{-1, 3}) {
		t.Errorf("ints: %v, %v", n, err)
	}
	if n, err := s.Ints("scalar"); err != nil || !slices.Equal(n, []int64{1 << 40}) {
		t.Errorf("scalar: %v, %v", n, err)
	}
	if e, err := s.Floats("empty"); err != nil || len(e) != 0 {
		t.Errorf("empty: %v, %v", e, err)
	}
	if _, err := s.Floats("scalar"); err == nil {
		t.Error("I64 read as floats")
	}
	if _, err := s.Bytes("x"); err == nil {
		t.Error("a tensor that is not there was read")
	}
}

func TestFolder_MissingShard_SaysWhich(t *testing.T) {
	dir := t.TempDir()
	one := []float32{1, 2, 3, 4}
	if err := WriteFolder(dir, []Tensor{FromFloats("a", F32, []int{4}, one), FromFloats("b", F32, []int{4}, one)}, nil, 16); err != nil {
		t.Fatal(err)
	}
	if err := os.Remove(filepath.Join(dir, "model-00002-of-00002.safetensors")); err != nil {
		t.Fatal(err)
	}
	_, err := Open(dir)
	if err == nil || !strings.Contains(err.Error(), "model-00002-of-00002") || !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("error %v", err)
	}
	if _, err := Open(t.TempDir()); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("empty folder: %v", err)
	}
}

func TestFolder_IndexDisagrees_Refused(t *testing.T) {
	for name, index := range map[string]string{
		"outside":    `{"weight_map":{"a":"../x.safetensors"}}`,
		"not listed": `{"weight_map":{"a":"m.safetensors"}}`,
		"missing":    `{"weight_map":{"a":"m.safetensors","b":"m.safetensors","c":"m.safetensors"}}`,
		"no map":     `{}`,
		"rubbish":    `{`,
	} {
		dir := t.TempDir()
		v := []float32{1}
		if err := Write(filepath.Join(dir, "m.safetensors"), []Tensor{FromFloats("a", F32, []int{1}, v), FromFloats("b", F32, []int{1}, v)}, nil); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(filepath.Join(dir, indexName), []byte(index), 0o600); err != nil {
			t.Fatal(err)
		}
		if _, err := Open(dir); err == nil {
			t.Errorf("%s: opened", name)
		}
	}
}

// file makes a file of a header text and n bytes of data.
func file(head string, n int) []byte {
	b := binary.LittleEndian.AppendUint64(nil, uint64(len(head)))
	return append(append(b, head...), make([]byte, n)...)
}

func TestOpen_Malformed_Refused(t *testing.T) {
	const ok = `{"a":{"dtype":"F32","shape":[1],"data_offsets":[0,4]}}`
	for _, c := range []struct {
		name, want string
		data       []byte
	}{
		{"empty", "truncated", nil},
		{"short", "truncated", []byte{1, 2, 3}},
		{"header past end", "truncated", file(ok, 4)[:20]},
		{"huge header", "not a safetensors file", append([]byte{0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff}, ok...)},
		{"data truncated", "truncated", file(ok, 3)},
		{"trailing bytes", "after the last tensor", file(ok, 5)},
		{"html", "not a safetensors file", append(binary.LittleEndian.AppendUint64(nil, 5), "<html"...)},
		{"duplicate", "twice", file(`{"a":{"dtype":"F32","shape":[1],"data_offsets":[0,4]},"a":{"dtype":"F32","shape":[1],"data_offsets":[4,8]}}`, 8)},
		{"overlap", "overlaps", file(`{"a":{"dtype":"F32","shape":[2],"data_offsets":[0,8]},"b":{"dtype":"F32","shape":[1],"data_offsets":[4,8]}}`, 8)},
		{"hole", "hole", file(`{"a":{"dtype":"F32","shape":[1],"data_offsets":[4,8]}}`, 8)},
		{"unknown dtype", "unknown dtype", file(`{"a":{"dtype":"F99","shape":[1],"data_offsets":[0,4]}}`, 4)},
		{"size disagrees", "span", file(`{"a":{"dtype":"F32","shape":[2],"data_offsets":[0,4]}}`, 4)},
		{"overflow", "overflows", file(`{"a":{"dtype":"F32","shape":[4294967296,4294967296],"data_offsets":[0,0]}}`, 0)},
		{"negative", "cannot unmarshal", file(`{"a":{"dtype":"F32","shape":[-1],"data_offsets":[0,4]}}`, 4)},
		{"backwards", "data_offsets", file(`{"a":{"dtype":"F32","shape":[1],"data_offsets":[4,0]}}`, 4)},
		{"no offsets", "needed", file(`{"a":{"dtype":"F32","shape":[1]}}`, 4)},
		{"rest", "after the JSON", file(ok+"{}", 4)},
		{"metadata", "metadata", file(`{"__metadata__":{"a":1}}`, 0)},
	} {
		path := filepath.Join(t.TempDir(), "x.safetensors")
		if err := os.WriteFile(path, c.data, 0o600); err != nil {
			t.Fatal(err)
		}
		s, err := Open(path)
		if err == nil {
			_ = s.Close()
			t.Errorf("%s: opened", c.name)
		} else if !strings.Contains(err.Error(), c.want) {
			t.Errorf("%s: %q does not say %q", c.name, err, c.want)
		}
	}
}

func TestEncode_WrongSource_Refused(t *testing.T) {
	for _, c := range []Tensor{
		FromBytes("short", F32, []int{2}, make([]byte, 4)),
		FromBytes("long", F32, []int{1}, make([]byte, 8)),
		FromBytes("type", "F99", []int{1}, make([]byte, 8)),
	} {
		if err := Encode(io.Discard, []Tensor{c}, nil); err == nil || !strings.Contains(err.Error(), c.Name) {
			t.Errorf("%s: %v", c.Name, err)
		}
	}
	one := FromFloats("a", F32, []int{1}, []float32{1})
	if err := Encode(io.Discard, []Tensor{one, one}, nil); err == nil {
		t.Error("the same name twice was written")
	}
}

func FuzzReadHeader(f *testing.F) {
	f.Add(file(`{"a":{"dtype":"F32","shape":[1],"data_offsets":[0,4]}}`, 4))
	f.Add(file(`{"__metadata__":{"k":"v"},"a":{"dtype":"BF16","shape":[],"data_offsets":[0,2]}}  `, 2))
	f.Add(reference(f)[:4096])
	f.Fuzz(func(t *testing.T, b []byte) {
		h, err := readHeader(bytes.NewReader(b), int64(len(b)))
		if err != nil {
			return
		}
		for _, x := range h.tensors {
			// What was accepted must be readable without a further check.
			_ = b[x.Offset : x.Offset+x.Size]
		}
	})
}
