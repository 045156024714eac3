package cli_test

import (
	"path/filepath"
	"testing"
)

// fixtures is the folder of what scripts share: a small Phi-3 model and rows to train on.
func fixtures(t *testing.T) string {
	t.Helper()
	dir, err := filepath.Abs("testdata/fixtures")
	if err != nil {
		t.Fatal(err)
	}
	return dir
}
