package cuda

import (
	"crypto/sha256"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
)

// The checked-in PTX is that of the checked-in sources: generate.py writes their digest into it.
func TestPTXIsOfTheseSources(t *testing.T) {
	var names []string
	for _, pattern := range []string{"kernels/*.cu", "kernels/*.cuh"} {
		found, err := filepath.Glob(pattern)
		if err != nil {
			t.Fatal(err)
		}
		names = append(names, found...)
	}
	slices.Sort(names)
	if len(names) < 10 {
		t.Fatalf("only %d sources", len(names))
	}
	h := sha256.New()
	for _, name := range names {
		text, err := os.ReadFile(name)
		if err != nil {
			t.Fatal(err)
		}
		fmt.Fprintf(h, "%s %d\n", filepath.Base(name), len(text))
		h.Write(text)
	}
	want := fmt.Sprintf("// sources sha256:%x\n", h.Sum(nil))
	for major, target := range map[int]string{7: "sm_75", 8: "sm_80", 9: "sm_90"} {
		text, err := PTX(major, 5)
		if err != nil {
			t.Fatal(err)
		}
		if !strings.HasPrefix(string(text), want) {
			t.Errorf("the PTX for %s is of other sources: task gen:cuda", target)
		}
		if !strings.Contains(string(text), ".version 8.1\n.target "+target) {
			t.Errorf("PTX for capability %d.5 is not version 8.1 for %s", major, target)
		}
	}
	if _, err := PTX(6, 1); err == nil {
		t.Error("a card of capability 6.1 was given kernels")
	}
}
