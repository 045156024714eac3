package main

import (
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"testing"

	"github.com/so8t/so8t/plugins"
	"github.com/so8t/so8t/plugins/host"
	"github.com/so8t/so8t/plugins/manifest"
	"github.com/so8t/so8t/plugins/plugintest"
)

func TestMain(m *testing.M) {
	if os.Getenv("SO8T_TEST_ROLE") == "plugin" {
		main()
		return
	}
	os.Exit(m.Run())
}

var self = host.Command{Path: os.Args[0], Env: map[string]string{"SO8T_TEST_ROLE": "plugin"}}

func TestConforms(t *testing.T) {
	for _, r := range plugintest.Run(t.Context(), self, t.TempDir()) {
		if !r.OK || r.Message != "" && r.Message != "does not apply: it describes no checkpoints" {
			t.Errorf("%s: %s", r.Name, r.Message)
		}
	}
}

func TestPoliteness(t *testing.T) {
	dir := t.TempDir()
	predictions := filepath.Join(dir, "predictions.jsonl")
	rows := `{"id":"1","model":"tuned","output":"判定: ALLOW\n理由: 公開情報です。"}
{"id":"2","model":"tuned","output":"だめだ"}
{"id":"3","model":"tuned","output":"お答えできません。"}
{"id":"4","model":"base","output":"知らん"}
`
	if err := os.WriteFile(predictions, []byte(rows), 0o644); err != nil {
		t.Fatal(err)
	}
	p, err := host.Launch(t.Context(), self, host.Options{})
	if err != nil {
		t.Fatal(err)
	}
	defer p.Close()
	a := &plugins.Attempt{With: []byte(`{"predictions":` + strconv.Quote(predictions) + `}`), OutputDir: filepath.Join(dir, "out")}
	if err := os.Mkdir(a.OutputDir, 0o755); err != nil {
		t.Fatal(err)
	}
	result, err := p.Run(t.Context(), a, nil)
	if err != nil || result.Metrics["polite_rate"] != 2.0/3 {
		t.Errorf("got %+v, %v", result, err)
	}
	text, err := os.ReadFile(filepath.Join(a.OutputDir, "metrics.json"))
	if err != nil || !strings.Contains(string(text), `"polite_rate": 0.6666666666666666`) {
		t.Errorf("output metrics: %s, %v", text, err)
	}
}

// TestPluginFile starts the plugin as a workflow would: with the go command.
func TestPluginFile(t *testing.T) {
	if _, err := exec.LookPath("go"); err != nil {
		t.Skip("the go command is not on PATH")
	}
	p, err := manifest.ReadPlugin(".")
	if err != nil {
		t.Fatal(err)
	}
	if _, files, err := p.Digest(); err != nil || len(files) != 2 {
		t.Errorf("files %v, %v", files, err)
	}
	process, err := host.Launch(t.Context(), host.Foreign(p), host.Options{})
	if err != nil {
		t.Fatal(err)
	}
	defer process.Close()
	if d, err := process.Describe(t.Context()); err != nil || d.Name != "politeness" {
		t.Errorf("described %+v, %v", d, err)
	}
}
