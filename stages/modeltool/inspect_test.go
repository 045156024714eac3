package modeltool

import (
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"os"
	"path/filepath"
	"reflect"
	"strings"
	"testing"
)

// testdata/tiny-F16.json of modelfile lists what the GGUF file of llama.cpp's converter holds,
// which ours equals byte for byte.
func TestInspect_GGUFEqualsTheConvertersList(t *testing.T) {
	var want struct {
		Metadata []struct {
			Key, Type string
			Value     any
		}
		Tensors []struct {
			Name, Type, SHA256 string
			NE                 []int
			Offset, Bytes      int64
		}
		DataStart int64 `json:"data_start"`
	}
	read(t, "../internal/modelfile/testdata/tiny-F16.json", &want)
	var got inspection
	parse(t, must(t, "", "inspect", ggufOf(t, "F16"), "--json"), &got)
	if got.Format != "gguf" || len(got.Problems) > 0 || got.Parameters != 2_894_080+48 {
		t.Errorf("%s, %v, %d elements", got.Format, got.Problems, got.Parameters)
	}
	if len(got.Tensors) != len(want.Tensors) || len(want.Tensors) != 28 {
		t.Fatalf("%d tensors, want %d", len(got.Tensors), len(want.Tensors))
	}
	for i, w := range want.Tensors {
		g := got.Tensors[i]
		if !reflect.DeepEqual(g, tensorView{w.Name, w.Type, w.NE, w.Offset, want.DataStart + w.Offset, w.Bytes, w.SHA256, ""}) {
			t.Errorf("tensor %d: %+v, want %+v", i, g, w)
		}
	}
	if len(got.Metadata) != len(want.Metadata) {
		t.Errorf("%d metadata entries, want %d", len(got.Metadata), len(want.Metadata))
	}
	for _, w := range want.Metadata {
		g, ok := got.Metadata[w.Key]
		if strings.HasPrefix(w.Type, "array") || reflect.ValueOf(w.Value).Kind() == reflect.Map { // listed by ends and digest
			if _, list := g.([]any); !list {
				t.Errorf("%s: %v, want a list", w.Key, g)
			}
		} else if !ok || !reflect.DeepEqual(g, w.Value) {
			t.Errorf("%s: %v, want %v", w.Key, g, w.Value)
		}
	}
}

func TestInspect_FoldersDigestsAreOfTheFilesBytes(t *testing.T) {
	for dir, tensors := range map[string]int{tinyHF: 26, sharded: 14} {
		var got inspection
		parse(t, must(t, "", "inspect", dir, "--json"), &got)
		if got.Format != "huggingface" || len(got.Tensors) < tensors || len(got.Config) == 0 {
			t.Errorf("%s: %s, %d tensors, config %s", dir, got.Format, len(got.Tensors), got.Config)
		}
		for _, tensor := range got.Tensors {
			raw, err := os.ReadFile(filepath.Join(dir, tensor.File))
			if err != nil {
				t.Fatal(err)
			}
			sum := sha256.Sum256(raw[tensor.FileOffset:][:tensor.Bytes])
			if hex.EncodeToString(sum[:]) != tensor.SHA256 {
				t.Errorf("%s %s: digest of other bytes", dir, tensor.Name)
			}
		}
	}
}

func TestInspect_SafetensorsFile(t *testing.T) {
	var got inspection
	parse(t, must(t, "", "inspect", "testdata/logits.safetensors", "--json"), &got)
	if got.Format != "safetensors" || len(got.Tensors) != 5 || got.Tensors[0].Offset != 0 {
		t.Errorf("%+v", got)
	}
	for i, tensor := range got.Tensors[1:] {
		if before := got.Tensors[i]; tensor.Offset != before.Offset+before.Bytes {
			t.Errorf("tensor %d at %d, want it behind %+v", i+1, tensor.Offset, before)
		}
	}
}

// copyFolder copies tinyHF but for the files in change, whose new text is given ("" = leave out).
func copyFolder(t *testing.T, change map[string]string) string {
	t.Helper()
	dir := t.TempDir()
	entries, err := os.ReadDir(tinyHF)
	if err != nil {
		t.Fatal(err)
	}
	for _, e := range entries {
		b, err := os.ReadFile(filepath.Join(tinyHF, e.Name()))
		if err != nil {
			t.Fatal(err)
		}
		text, changed := change[e.Name()]
		if changed && text == "" {
			continue
		}
		if changed {
			b = []byte(text)
		}
		if err := os.WriteFile(filepath.Join(dir, e.Name()), b, 0o644); err != nil {
			t.Fatal(err)
		}
	}
	return dir
}

func TestInspect_ProblemsAreShownBesideTheRest(t *testing.T) {
	config, err := os.ReadFile(filepath.Join(tinyHF, "config.json"))
	if err != nil {
		t.Fatal(err)
	}
	for _, c := range []struct {
		name    string
		change  map[string]string
		problem string
		tensors int
	}{
		{"no tokenizer", map[string]string{"tokenizer.json": ""}, "tokenizer.json", 26},
		{"no config", map[string]string{"config.json": ""}, "config.json", 26},
		{"broken config", map[string]string{"config.json": "{"}, "config.json", 26},
		{"another activation", map[string]string{"config.json": strings.Replace(string(config), `"silu"`, `"relu"`, 1)}, "relu", 26},
		{"a layer more", map[string]string{"config.json": strings.Replace(string(config), `"num_hidden_layers": 4`, `"num_hidden_layers": 5`, 1)}, "layers.4", 26},
		{"cut weights", map[string]string{"model.safetensors": "\x10\x00\x00"}, "truncated", 0},
	} {
		var got inspection
		parse(t, must(t, "", "inspect", copyFolder(t, c.change), "--json"), &got)
		if len(got.Problems) == 0 || !strings.Contains(fmt.Sprint(got.Problems), c.problem) || len(got.Tensors) < c.tensors {
			t.Errorf("%s: %d tensors, problems %q", c.name, len(got.Tensors), got.Problems)
		}
	}
}

func TestInspect_AdapterFolder(t *testing.T) {
	var got inspection
	parse(t, must(t, "", "inspect", "../internal/phi3/testdata/lora", "--json"), &got)
	if got.Format != "adapter" || len(got.Problems) > 0 || len(got.Tensors) == 0 || got.Tensors[0].File != "adapter_model.safetensors" || len(got.Config) == 0 {
		t.Errorf("%s, problems %q, %d tensors", got.Format, got.Problems, len(got.Tensors))
	}
	dir := t.TempDir()
	if err := os.WriteFile(filepath.Join(dir, "so8t_config.json"), []byte("{"), 0o644); err != nil {
		t.Fatal(err)
	}
	got = inspection{}
	parse(t, must(t, "", "inspect", dir, "--json"), &got)
	if got.Format != "adapter" || len(got.Problems) != 1 {
		t.Errorf("%s, problems %q", got.Format, got.Problems)
	}
}

func TestInspect_ForPeople(t *testing.T) {
	folder := must(t, "", "inspect", tinyHF)
	for _, want := range []string{"huggingface, 26 tensors", "CONFIG", "num_hidden_layers", "[2080 256]"} {
		if !strings.Contains(folder, want) {
			t.Errorf("%q is missing in\n%s", want, folder)
		}
	}
	out := must(t, "", "inspect", ggufOf(t, "Q8_0"))
	for _, want := range []string{"gguf, 28 tensors", "general.name", `"so8t tiny"`, "2080 values", "token_embd.weight", "Q8_0", "no problems"} {
		if !strings.Contains(out, want) {
			t.Errorf("%q is missing in\n%s", want, out)
		}
	}
	for _, line := range strings.Split(out, "\n") {
		if len([]rune(line)) > 250 {
			t.Errorf("a line of %d characters: %.80s…", len([]rune(line)), line)
		}
	}
}
