package modeltool

import (
	"bytes"
	"encoding/json"
	"errors"
	"math"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/so8t/so8t/plugins"
)

const (
	tinyHF      = "../internal/modelfile/testdata/tiny-hf"
	noTokenizer = "../internal/phi3/testdata/tiny-phi3"
	sharded     = "../internal/phi3/testdata/tiny-phi3-bf16-sharded"
)

// call runs a tool on what stands on standard input.
func call(t *testing.T, in string, args ...string) (out, errw string, err error) {
	t.Helper()
	for _, tool := range Tools() {
		if tool.Name == args[0] {
			var o, e bytes.Buffer
			err := tool.Run(t.Context(), args[1:], strings.NewReader(in), &o, &e)
			return o.String(), e.String(), err
		}
	}
	t.Fatalf("no tool %q", args[0])
	return "", "", nil
}

// must is call for what has to work.
func must(t *testing.T, in string, args ...string) string {
	t.Helper()
	out, _, err := call(t, in, args...)
	if err != nil {
		t.Fatalf("%v: %v", args, err)
	}
	return out
}

func read(t *testing.T, path string, into any) {
	t.Helper()
	b, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	if err := json.Unmarshal(b, into); err != nil {
		t.Fatalf("%s: %v", path, err)
	}
}

func parse(t *testing.T, text string, into any) {
	t.Helper()
	if err := json.Unmarshal([]byte(text), into); err != nil {
		t.Fatalf("%v in %.200s", err, text)
	}
}

// near reports whether got is want within a relative tolerance.
func near(got, want, tolerance float64) bool {
	return math.Abs(got-want) <= tolerance*math.Abs(want)
}

// ggufOf writes testdata's model as a GGUF file of a type.
func ggufOf(t *testing.T, typ string) string {
	t.Helper()
	path := filepath.Join(t.TempDir(), typ+".gguf")
	must(t, "", "quantize", tinyHF, path, "--type", typ, "--name", "so8t tiny")
	return path
}

func TestTools_Help(t *testing.T) {
	for _, tool := range Tools() {
		out, _, err := call(t, "", tool.Name, "--help")
		if err != nil || !strings.Contains(out, "so8t model "+tool.Name+" "+tool.Usage) || !strings.Contains(out, tool.Help) {
			t.Errorf("%s --help: %v, %q", tool.Name, err, out)
		}
	}
	if out, _, err := call(t, "", "tokenize", "x", "-h"); err != nil || !strings.Contains(out, "--special") {
		t.Errorf("-h behind an operand: %v, %q", err, out)
	}
}

func TestTools_WrongUsage(t *testing.T) {
	for _, args := range [][]string{
		{"inspect"},
		{"inspect", "a", "b"},
		{"inspect", tinyHF, "--jsn"},
		{"inspect", tinyHF, "--json=perhaps"},
		{"tokenize", tinyHF},
		{"tokenize", tinyHF, "--text", "a", "--batch"},
		{"tokenize", tinyHF, "--text"},
		{"logits", tinyHF, "--ids", "1"},
		{"logits", tinyHF, "--out", "x"},
		{"logits", tinyHF, "--out", "x", "--ids", "1,two"},
		{"logits", tinyHF, "--out", "x", "--ids", "-1"},
		{"logits", tinyHF, "--out", "x", "--ids", ","},
		{"generate", tinyHF},
		{"generate", tinyHF, "--prompt", "a", "--max", "0"},
		{"generate", tinyHF, "--prompt", "a", "--temperature", "-1"},
		{"generate", tinyHF, "--prompt", "a", "--system", "b"},
		{"quantize", tinyHF, "--type", "F16"},
		{"quantize", tinyHF, "x"},
		{"quantize", tinyHF, "x", "--type", "Q9"},
		{"quantize", tinyHF, "x", "--type", "F16", "--jobs", "0"},
		{"quantize", tinyHF, "x", "--type", "F16", "--name", "my Phi-3"},
		{"kl", tinyHF, tinyHF},
		{"kl", tinyHF, "--file", "x"},
		{"score", "x", "--labels", "a"},
		{"score", "x", "--labels", "a,a"},
		{"score", "x", "--bins", "0"},
	} {
		_, _, err := call(t, "", args...)
		var usage *UsageError
		if !errors.As(err, &usage) || !usage.Usage() {
			t.Errorf("%v: %v, want a usage error", args, err)
		}
	}
	if entries, _ := filepath.Glob("x*"); len(entries) > 0 {
		t.Errorf("wrong usage left %v", entries)
	}
}

func TestTools_BadInput(t *testing.T) {
	dir := t.TempDir()
	broken := filepath.Join(dir, "broken.gguf")
	if err := os.WriteFile(broken, []byte("GGUF\x03\x00\x00\x00"), 0o644); err != nil {
		t.Fatal(err)
	}
	for _, args := range [][]string{
		{"inspect", "nowhere"},
		{"inspect", broken},
		{"inspect", dir},
		{"tokenize", "nowhere", "--text", "a"},
		{"tokenize", noTokenizer, "--text", "a"},
		{"tokenize", tinyHF, "--file", "nowhere"},
		{"logits", "nowhere", "--ids", "1", "--out", "x"},
		{"logits", tinyHF, "--ids", "2080", "--out", "x"},
		{"logits", tinyHF, "--ids", "1", "--out", "x", "--adapter", "nowhere"},
		{"logits", tinyHF, "--ids", "1", "--out", "x", "--adapter", "../internal/phi3/testdata/lora"}, // of another model
		{"logits", tinyHF, "--ids", strings.Repeat("1,", 4097), "--out", "x"},                         // longer than it takes
		{"generate", broken, "--prompt", "a"},
		{"generate", tinyHF, "--prompt", ""},
		{"quantize", noTokenizer, filepath.Join(dir, "out"), "--type", "F16"},
		{"quantize", tinyHF, filepath.Join(dir, "no", "out"), "--type", "F16", "--name", "a"},
		{"kl", tinyHF, "nowhere", "--file", "testdata/logits.json"},
		{"kl", tinyHF, tinyHF, "--file", "testdata/logits.json"}, // too short
		{"score", "nowhere"},
	} {
		_, _, err := call(t, "", args...)
		var typed *plugins.Error
		if !errors.As(err, &typed) || typed.Code != plugins.BadInput {
			t.Errorf("%.4v: %v, want bad input", args, err)
		}
	}
	for _, left := range []string{"x", filepath.Join(dir, "out"), filepath.Join(dir, ".out*")} {
		if entries, _ := filepath.Glob(left); len(entries) > 0 {
			t.Errorf("bad input left %v", entries)
		}
	}
}

func TestFlags_StandBeforeBetweenAndBehindOperands(t *testing.T) {
	want := must(t, "", "tokenize", tinyHF, "--text", "a <|end|> b", "--special", "--json")
	for _, args := range [][]string{
		{"tokenize", "--special", "--json", "--text", "a <|end|> b", tinyHF},
		{"tokenize", "-json", "--text=a <|end|> b", tinyHF, "-special=true"},
		{"tokenize", "--json", "--special", "--text", "a <|end|> b", "--", tinyHF},
	} {
		if got := must(t, "", args...); got != want {
			t.Errorf("%v: %s, want %s", args, got, want)
		}
	}
	// A value may look like a flag.
	if got := must(t, "", "tokenize", tinyHF, "--text", "--json"); strings.Contains(got, "[") {
		t.Errorf("the text --json was taken for the flag: %s", got)
	}
}
