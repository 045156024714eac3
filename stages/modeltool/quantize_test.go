package modeltool

import (
	"context"
	"errors"
	"io"
	"os"
	"path/filepath"
	"regexp"
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

// One thread or many, the same bytes; a type for the embedding alone.
func TestQuantize_JobsAndOverrides(t *testing.T) {
	var files []string
	for _, jobs := range []string{"1", "2", "7"} {
		out := filepath.Join(t.TempDir(), "out.gguf")
		must(t, "", "quantize", tinyHF, out, "--type", "Q4_K_M", "--embedding-type", "Q5_K", "--jobs", jobs)
		b, err := os.ReadFile(out)
		if err != nil {
			t.Fatal(err)
		}
		files = append(files, string(b))
		if text := must(t, "", "inspect", out); !regexp.MustCompile(`token_embd\.weight +Q5_K`).MatchString(text) {
			t.Errorf("no embedding in Q5_K in\n%s", text)
		}
	}
	if files[0] != files[1] || files[0] != files[2] {
		t.Error("the file depends on the number of threads")
	}
	for _, bad := range [][]string{{"--type", "Q9"}, {"--type", "F16", "--output-type", "x"}, {"--type", "F16", "--jobs", "0"}} {
		_, _, err := call(t, "", append([]string{"quantize", tinyHF, filepath.Join(t.TempDir(), "out")}, bad...)...)
		if usage := new(UsageError); !errors.As(err, &usage) {
			t.Errorf("%v: %v", bad, err)
		}
	}
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
