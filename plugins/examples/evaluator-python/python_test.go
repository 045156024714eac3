package python_test

import (
	"bytes"
	"math"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/so8t/so8t/plugins"
	"github.com/so8t/so8t/plugins/host"
	"github.com/so8t/so8t/plugins/manifest"
	"github.com/so8t/so8t/plugins/plugintest"
)

// environmentKey names a virtual environment with requirements.txt installed.
const environmentKey = "SO8T_TEST_PYTHON_VENV"

// installed copies an example and gives it the virtual environment, as its README says.
func installed(t *testing.T, example string) host.Command {
	t.Helper()
	venv := os.Getenv(environmentKey)
	if venv == "" {
		t.Skipf("%s names no virtual environment with requirements.txt installed", environmentKey)
	}
	dir := filepath.Join(t.TempDir(), "plugin")
	files, err := filepath.Glob(filepath.Join(example, "*"))
	if err != nil {
		t.Fatal(err)
	}
	if err := os.Mkdir(dir, 0o755); err != nil {
		t.Fatal(err)
	}
	for _, file := range files {
		if err := os.WriteFile(filepath.Join(dir, filepath.Base(file)), read(t, file), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	if err := os.Symlink(venv, filepath.Join(dir, ".venv")); err != nil {
		t.Fatal(err)
	}
	p, err := manifest.ReadPlugin(dir)
	if err != nil {
		t.Fatal(err)
	}
	if _, found, err := p.Digest(); err != nil || len(found) != 5 {
		t.Errorf("its identity: %v, %v", found, err)
	}
	return host.Foreign(p)
}

func read(t *testing.T, file string) []byte {
	t.Helper()
	text, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	return text
}

func TestConforms(t *testing.T) {
	for _, example := range []string{".", "../stage-python"} {
		t.Run(filepath.Base(example), func(t *testing.T) {
			for _, r := range plugintest.Run(t.Context(), installed(t, example), t.TempDir()) {
				if !r.OK || r.Message != "" && r.Message != "does not apply: it describes no checkpoints" {
					t.Errorf("%s: %s", r.Name, r.Message)
				}
			}
		})
	}
}

// run lets a plugin work on one file and returns its output.
func run(t *testing.T, c host.Command, with, content, output string) (plugins.Result, string, error) {
	t.Helper()
	dir := t.TempDir()
	input := filepath.Join(dir, "input")
	if err := os.WriteFile(input, []byte(content), 0o644); err != nil {
		t.Fatal(err)
	}
	p, err := host.Launch(t.Context(), c, host.Options{})
	if err != nil {
		t.Fatal(err)
	}
	defer p.Close()
	a := &plugins.Attempt{With: []byte(strings.ReplaceAll(with, "INPUT", input)), OutputDir: dir}
	result, err := p.Run(t.Context(), a, nil)
	if err != nil {
		return result, "", err
	}
	return result, string(read(t, filepath.Join(dir, output))), nil
}

func TestEvaluator(t *testing.T) {
	c := installed(t, ".")
	result, scores, err := run(t, c, `{"predictions":"INPUT"}`, `{"id":"1","model":"tuned","output":"判定: ALLOW\n理由: 公開情報です。"}
{"id":"2","model":"tuned","output":"だめだ"}
{"id":"３","output":"理由: これ"}
{"id":"4","model":"base","output":"理由: 知らん"}
`, "scores.jsonl")
	if err != nil || math.Abs(result.Metrics["reasoned_rate"]-2.0/3) > 1e-15 {
		t.Errorf("got %+v, %v", result, err)
	}
	if scores != "{\"id\": \"1\", \"score\": 1.0}\n{\"id\": \"2\", \"score\": 0.0}\n{\"id\": \"３\", \"score\": 1.0}\n" {
		t.Errorf("scores %s", scores)
	}
	if _, _, err := run(t, c, `{"predictions":"INPUT"}`, "{\"id\":1}\n", "scores.jsonl"); plugins.CodeOf(err) != plugins.BadInput {
		t.Errorf("of a row without an output: %v", err)
	}
}

func TestStage(t *testing.T) {
	result, sorted, err := run(t, installed(t, "../stage-python"), `{"text":"INPUT","reverse":true}`, "a\nc\na\nb\n", "sorted.txt")
	if err != nil || sorted != "c\nb\na\n" || result.Metrics["duplicates"] != 1 || result.Metrics["lines"] != 3 {
		t.Errorf("got %q, %+v, %v", sorted, result, err)
	}
}

// What a user copies is the same in both examples, and the protocol is the one that is spoken.
func TestCopies(t *testing.T) {
	for file, of := range map[string]string{
		"stage.proto": "../../proto/v1/stage.proto", "../stage-python/stage.proto": "../../proto/v1/stage.proto",
		"../stage-python/so8t_plugin.py": "so8t_plugin.py", "../stage-python/requirements.txt": "requirements.txt",
	} {
		if !bytes.Equal(read(t, file), read(t, of)) {
			t.Errorf("%s is not %s: copy it (go generate ./plugins/proto/v1 does stage.proto)", file, of)
		}
	}
}

// An evaluator in Python is no more than a page, the part to copy unchanged included.
func TestEvaluator_IsShort(t *testing.T) {
	lines := bytes.Count(read(t, "evaluator.py"), []byte("\n")) + bytes.Count(read(t, "so8t_plugin.py"), []byte("\n"))
	if lines > 60 {
		t.Errorf("%d lines", lines)
	}
}
