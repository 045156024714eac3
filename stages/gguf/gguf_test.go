package gguf

import (
	"bytes"
	"encoding/json"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/so8t/so8t/plugins"
	"github.com/so8t/so8t/stages/internal/chat"
	"github.com/so8t/so8t/stages/internal/modelfile"
	"github.com/so8t/so8t/stages/internal/tokenizer"
)

const model = "../internal/modelfile/testdata/tiny-hf"

func run(t *testing.T, typ string) (string, plugins.Result) {
	t.Helper()
	out := t.TempDir()
	with, _ := json.Marshal(map[string]any{"model": model, "type": typ, "name": "tiny"})
	result, err := Stage{}.Run(t.Context(), &plugins.Attempt{With: with, OutputDir: out})
	if err != nil {
		t.Fatal(err)
	}
	return out, result
}

// The errors of a type are those that its rounding has (gguf fixtures, relative RMS).
func TestRun_MeasuresWhatTheTypeLoses(t *testing.T) {
	for typ, bound := range map[string][2]float64{"F32": {0, 0}, "F16": {0, 1e-7}, "Q8_0": {3e-3, 8e-3}} {
		_, result := run(t, typ)
		if e := result.Metrics["weight_error"]; e < bound[0] || e > bound[1] {
			t.Errorf("%s: weight error %v, want %v", typ, e, bound)
		}
		if result.Metrics["tensors"] != 28 {
			t.Errorf("%s: %v tensors", typ, result.Metrics["tensors"])
		}
	}
}

func TestRun_SameBytesTwice(t *testing.T) {
	a, _ := run(t, "Q8_0")
	b, _ := run(t, "Q8_0")
	for _, name := range []string{fileName, "gguf_report.json"} {
		x, errX := os.ReadFile(filepath.Join(a, name))
		y, errY := os.ReadFile(filepath.Join(b, name))
		if errX != nil || errY != nil || string(x) != string(y) {
			t.Errorf("%s differs between two runs", name)
		}
	}
}

func TestCheck_NamesTheProblem(t *testing.T) {
	for with, field := range map[string]string{
		`{"model":"/nowhere"}`:                     "model",
		`{"model":"` + model + `","name":"Phi-3"}`: "name",
	} {
		report, err := Stage{}.Check(t.Context(), plugins.CheckRequest{With: []byte(with)})
		if err != nil || len(report.Problems) != 1 || report.Problems[0].Field != field {
			t.Errorf("%s: %+v, %v", with, report.Problems, err)
		}
	}
}

func TestRun_StopsWhenAsked(t *testing.T) {
	stop := make(chan struct{})
	close(stop)
	with, _ := json.Marshal(map[string]any{"model": model})
	_, err := Stage{}.Run(t.Context(), &plugins.Attempt{With: with, OutputDir: t.TempDir(), Stop: stop})
	if plugins.CodeOf(err) != plugins.Cancelled {
		t.Errorf("got %v", err)
	}
}

func TestVerify_SeesAnotherTokenizer(t *testing.T) {
	m, err := modelfile.Open(model)
	if err != nil {
		t.Fatal(err)
	}
	defer m.Close()
	if err := sameTokens(m.Template, m.Template); err != nil {
		t.Fatal(err)
	}
	tok := m.Template.Tokenizer()
	vocab := map[string]int32{}
	for id, text := range tok.Texts() {
		if text != "" {
			vocab[text] = int32(id)
		}
	}
	for _, a := range tok.Added() {
		delete(vocab, a.Content)
	}
	fewer, err := tokenizer.Assemble("gpt-4o", vocab, tok.Merges()[:len(tok.Merges())/2], tok.Added())
	if err != nil {
		t.Fatal(err)
	}
	other, err := chat.New(fewer)
	if err != nil {
		t.Fatal(err)
	}
	if err := sameTokens(other, m.Template); err == nil {
		t.Error("a tokenizer with half of the merges passes for the source's")
	}
}

// A byte that changes on its way to the disk and back is seen, in the first tensor and in the last.
func TestVerify_SeesAnotherByte(t *testing.T) {
	m, err := Config{Model: model, Type: "Q8_0", Name: "tiny"}.open()
	if err != nil {
		t.Fatal(err)
	}
	defer m.Close()
	e, err := Config{Type: "Q8_0", Name: "tiny"}.export(m)
	if err != nil {
		t.Fatal(err)
	}
	path := filepath.Join(t.TempDir(), fileName)
	if err := writeFile(t.Context(), &plugins.Attempt{}, path, e); err != nil {
		t.Fatal(err)
	}
	if _, err := verify(path, e); err != nil {
		t.Fatal(err)
	}
	whole, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	for _, behind := range []int{1, 2_000_000} {
		spoilt := bytes.Clone(whole)
		spoilt[len(spoilt)-behind] ^= 1
		if err := os.WriteFile(path, spoilt, 0o644); err != nil {
			t.Fatal(err)
		}
		if _, err := verify(path, e); plugins.CodeOf(err) != plugins.Internal || !strings.Contains(err.Error(), "is not what was written") {
			t.Errorf("a byte %d before the end: %v", behind, err)
		}
	}
}
