package cli_test

import (
	"path/filepath"
	"testing"
)

// fixtures is the folder of what scripts share: a small Phi-3 model and rows to train on.
func fixtures(t *testing.T) string {
	t.Helper()
	return absolute(t, "testdata/fixtures")
}

func absolute(t *testing.T, path string) string {
	t.Helper()
	abs, err := filepath.Abs(path)
	if err != nil {
		t.Fatal(err)
	}
	return abs
}
