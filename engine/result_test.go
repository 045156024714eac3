package engine

import (
	"path/filepath"
	"testing"

	"github.com/so8t/so8t/state"
)

// TestResult_TextWithAngles: a finished attempt whose commit was lost is known again by what it was
// made of, also when that holds what JSON may escape.
func TestResult_TextWithAngles(t *testing.T) {
	value, err := canonical("a < b > c & d")
	if err != nil {
		t.Fatal(err)
	}
	parts := []state.Part{{Field: "with.run", Value: value}}
	path := filepath.Join(t.TempDir(), "result.json")
	if err := writeResult(path, savedResult{Fingerprint: hashParts(parts), Parts: parts}); err != nil {
		t.Fatal(err)
	}
	if r, ok := readResult(path); !ok || string(r.Parts[0].Value) != string(value) {
		t.Errorf("read %+v, whole %v", r, ok)
	}
}
