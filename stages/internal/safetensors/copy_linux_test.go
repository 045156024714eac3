package safetensors

import (
	"bytes"
	"os"
	"path/filepath"
	"testing"
)

func TestCopyTo(t *testing.T) {
	path := filepath.Join(t.TempDir(), "x.safetensors")
	data := make([]byte, 2*rawChunk+6)
	for i := range data {
		data[i] = byte(i >> 4)
	}
	if err := Write(path, []Tensor{FromBytes("x", BF16, []int{len(data) / 2}, data)}, nil); err != nil {
		t.Fatal(err)
	}
	s, err := Open(path)
	if err != nil {
		t.Fatal(err)
	}
	defer s.Close()
	before := filePages(t)
	var out bytes.Buffer
	out.Grow(len(data))
	if err := s.CopyTo(&out, "x"); err != nil || !bytes.Equal(out.Bytes(), data) {
		t.Errorf("%d other bytes, %v", out.Len(), err)
	}
	if grown := (filePages(t) - before) * os.Getpagesize(); grown > rawChunk {
		t.Errorf("%d bytes of the file stay", grown)
	}
	if err := s.CopyTo(&out, "y"); err == nil {
		t.Error("a tensor that is not there was copied")
	}
}
