package safetensors

import (
	"fmt"
	"os"
	"path/filepath"
	"testing"
)

// filePages is how many pages of files this process holds.
func filePages(t *testing.T) (n int) {
	t.Helper()
	b, err := os.ReadFile("/proc/self/statm")
	if err != nil {
		t.Skip(err)
	}
	var size, resident int
	if _, err := fmt.Sscan(string(b), &size, &resident, &n); err != nil {
		t.Fatal(err)
	}
	return n
}

// Reading a model piece by piece holds a piece, not what was read: pieces of a mebibyte, and
// those in which Phi-4-mini's matrices are quantised, 64 rows of 3072.
func TestReadFloats_LetsGoOfWhatItRead(t *testing.T) {
	const elements = 32 << 20
	path := filepath.Join(t.TempDir(), "large.safetensors")
	if err := Write(path, []Tensor{FromBytes("x", BF16, []int{elements}, make([]byte, 2*elements))}, nil); err != nil {
		t.Fatal(err)
	}
	s, err := Open(path)
	if err != nil {
		t.Fatal(err)
	}
	defer s.Close()
	for _, piece := range []int{1 << 20, 64 * 3072} {
		dst := make([]float32, piece)
		before := filePages(t)
		for first := 0; first < elements; first += piece {
			if err := s.ReadFloats("x", first, dst[:min(piece, elements-first)]); err != nil {
				t.Fatal(err)
			}
		}
		if grown := (filePages(t) - before) * os.Getpagesize(); grown > elements/2 {
			t.Errorf("in pieces of %d: %d bytes of the file stay, of %d read", piece, grown, 2*elements)
		}
	}
}
