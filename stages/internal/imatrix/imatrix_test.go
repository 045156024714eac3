package imatrix

import (
	"bytes"
	"math"
	"os"
	"path/filepath"
	"reflect"
	"testing"

	"github.com/so8t/so8t/stages/internal/ggufio"
	"github.com/so8t/so8t/stages/internal/quant"
)

func TestMatrix_RoundTrip(t *testing.T) {
	m := New([]string{"a.txt"}, 512)
	m.Chunks = 3
	m.Add("b", []float32{1, 2, 3, 4}, 2)
	m.Add("b", []float32{-5, 0}, 2)
	m.Add("a", []float32{2}, 1)
	m.Add("none", nil, 2)
	var b bytes.Buffer
	if err := m.Write(&b); err != nil {
		t.Fatal(err)
	}
	path := filepath.Join(t.TempDir(), "m.gguf")
	if err := os.WriteFile(path, b.Bytes(), 0o644); err != nil {
		t.Fatal(err)
	}
	back, err := Read(path)
	if err != nil {
		t.Fatal(err)
	}
	if !reflect.DeepEqual(back, m) {
		t.Errorf("%+v came back as %+v", m, back)
	}
	want := map[string][]float32{"a": {4}, "b": {float32(1+9+25) / 3, float32(4+16) / 3}, "none": {1, 1}}
	if got := back.Importance(); !reflect.DeepEqual(got, want) {
		t.Errorf("importance %v, want %v", got, want)
	}
	for _, c := range []struct {
		columns map[string]int
		ok      bool
	}{{map[string]int{"a": 1, "b": 2, "none": 2, "more": 9}, true}, {map[string]int{"a": 1, "b": 3, "none": 2}, false}, {map[string]int{"a": 1, "b": 2}, false}} {
		if err := back.Check(c.columns); (err == nil) != c.ok {
			t.Errorf("%v: %v", c.columns, err)
		}
	}
}

func TestRead_RefusesWhatIsNone(t *testing.T) {
	nan, f32 := float32(math.NaN()), quant.F32
	good := []ggufio.KV{{Key: keyType, Value: fileType}, {Key: keyDatasets, Value: []string{"x"}}, {Key: keyChunks, Value: uint32(1)}, {Key: keyChunkSize, Value: uint32(1)}}
	info := func(name string, n int) ggufio.TensorInfo {
		return ggufio.TensorInfo{Name: name, Dims: []int{n}, Type: f32}
	}
	pair := []ggufio.TensorInfo{info("a.in_sum2", 1), info("a.counts", 1)}
	for name, c := range map[string]struct {
		metadata []ggufio.KV
		tensors  []ggufio.TensorInfo
		value    float32
		ok       bool
	}{
		"good":             {good, pair, 1, true},
		"another type":     {append([]ggufio.KV{{Key: keyType, Value: "model"}}, good[1:]...), pair, 1, false},
		"no chunk count":   {good[:2], pair, 1, false},
		"no count":         {good, pair[:1], 1, false},
		"a count alone":    {good, pair[1:], 1, false},
		"another tensor":   {good, append(pair[:2:2], info("x", 1)), 1, false},
		"two counts":       {good, []ggufio.TensorInfo{pair[0], info("a.counts", 2)}, 1, false},
		"no number":        {good, pair, nan, false},
		"a negative count": {good, pair, -1, false},
	} {
		var b bytes.Buffer
		w, err := ggufio.NewWriter(&b, c.metadata, c.tensors)
		if err != nil {
			t.Fatal(err)
		}
		for _, tensor := range c.tensors {
			values := make([]float32, tensor.Len())
			for i := range values {
				values[i] = c.value
			}
			_ = w.Begin(tensor.Name)
			_ = w.WriteFloats(values)
		}
		if err := w.Close(); err != nil {
			t.Fatal(err)
		}
		path := filepath.Join(t.TempDir(), "m.gguf")
		if err := os.WriteFile(path, b.Bytes(), 0o644); err != nil {
			t.Fatal(err)
		}
		if _, err := Read(path); (err == nil) != c.ok {
			t.Errorf("%s: %v", name, err)
		}
	}
}
