package modeltool

import (
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// What Hugging Face's library gives for each text: ids_raw as ordinary text, ids with control
// tokens.
type tokenizerCases struct {
	Cases []struct {
		Text string
		Raw  []int32 `json:"ids_raw"`
		IDs  []int32
	}
}

func TestTokenize_BatchEqualsHuggingFace(t *testing.T) {
	const dir = "../internal/tokenizer/testdata/phi4"
	var f tokenizerCases
	read(t, filepath.Join(dir, "cases.json"), &f)
	if len(f.Cases) < 100 {
		t.Fatalf("%d cases", len(f.Cases))
	}
	var in strings.Builder
	for _, c := range f.Cases {
		b, err := json.Marshal(c.Text)
		if err != nil {
			t.Fatal(err)
		}
		fmt.Fprintf(&in, "%s\n", b)
	}
	for _, special := range []bool{false, true} {
		out := must(t, in.String(), "tokenize", filepath.Join(dir, "tokenizer.json"), "--batch", fmt.Sprintf("--special=%v", special))
		lines := strings.Split(strings.TrimSuffix(out, "\n"), "\n")
		if len(lines) != len(f.Cases) {
			t.Fatalf("%d lines for %d texts", len(lines), len(f.Cases))
		}
		for i, c := range f.Cases {
			want := c.Raw
			if special {
				want = c.IDs
			}
			var got []int32
			parse(t, lines[i], &got)
			if fmt.Sprint(got) != fmt.Sprint(want) {
				t.Errorf("special %v, %q: %v, want %v", special, c.Text, got, want)
			}
		}
	}
}

func TestTokenize_FileEqualsTextEqualsGGUF(t *testing.T) {
	const text = "外部の業者 <|end|>\n"
	path := filepath.Join(t.TempDir(), "text")
	if err := os.WriteFile(path, []byte(text), 0o644); err != nil {
		t.Fatal(err)
	}
	gguf := ggufOf(t, "Q8_0")
	want := must(t, "", "tokenize", tinyHF, "--text", text)
	for _, args := range [][]string{{tinyHF, "--file", path}, {tinyHF, "--file", "-"}, {gguf, "--text", text}} {
		if got := must(t, text, append([]string{"tokenize"}, args...)...); got != want || got == "\n" {
			t.Errorf("%v: %s, want %s", args, got, want)
		}
	}
}

func TestTokenize_BatchNamesTheBadLine(t *testing.T) {
	for in, want := range map[string]string{"\"a\"\n\n7\n": "line 3", "\"a\"\nnull": "line 2", "\"a": "line 1"} {
		if _, _, err := call(t, in, "tokenize", tinyHF, "--batch"); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%q: %v, want %s", in, err, want)
		}
	}
}
