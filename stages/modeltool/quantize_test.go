package modeltool

import (
	"context"
	"errors"
	"io"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// From a folder, or by way of another GGUF file that lost nothing: the same bytes.
func TestQuantize_GGUFInGivesTheSameBytes(t *testing.T) {
	direct, err := os.ReadFile(ggufOf(t, "Q8_0"))
	if err != nil {
		t.Fatal(err)
	}
	out := filepath.Join(t.TempDir(), "out.gguf")
	must(t, "", "quantize", ggufOf(t, "F32"), out, "--type", "Q8_0") // the name comes along
	got, err := os.ReadFile(out)
	if err != nil {
		t.Fatal(err)
	}
	if string(got) != string(direct) {
		t.Errorf("%d bytes by way of F32 differ from %d direct ones", len(got), len(direct))
	}
}

func TestQuantize_ReplacesItsInput(t *testing.T) {
	path := ggufOf(t, "F32")
	_, said, err := call(t, "", "quantize", path, path, "--type", "F16")
	if err != nil || !strings.Contains(said, "F16, 5869856 bytes") {
		t.Errorf("%v, %q", err, said)
	}
	if entries, _ := os.ReadDir(filepath.Dir(path)); len(entries) != 1 {
		t.Errorf("%d files are left", len(entries))
	}
	must(t, "", "inspect", path)
}

func TestQuantize_NameOfAFolder(t *testing.T) {
	out := filepath.Join(t.TempDir(), "out.gguf")
	must(t, "", "quantize", tinyHF, out, "--type", "F16")
	if text := must(t, "", "inspect", out); !strings.Contains(text, `"tiny-hf"`) {
		t.Errorf("no name tiny-hf in\n%s", text)
	}
}

func TestQuantize_CancelledLeavesNothing(t *testing.T) {
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	dir := t.TempDir()
	err := quantize.run(ctx, []string{tinyHF, filepath.Join(dir, "out"), "--type", "F16"}, nil, io.Discard, io.Discard)
	if !errors.Is(err, context.Canceled) {
		t.Errorf("%v", err)
	}
	if entries, _ := os.ReadDir(dir); len(entries) != 0 {
		t.Errorf("%d files are left", len(entries))
	}
}
