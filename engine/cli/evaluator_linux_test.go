package cli_test

import (
	"encoding/json"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
)

// A stranger's evaluator, built from the example, scores predictions: its metric is in the state,
// in the report with the digest of its artifact, and it passes the conformance suite.
func TestEvaluator_FromProgramToReport(t *testing.T) {
	if _, err := exec.LookPath("go"); err != nil {
		t.Skip("the go command is not on PATH: the example evaluator cannot be built")
	}
	p := newProject(t, `
version: 1
name: evaluator
stages:
  politeness:
    uses: ./politeness
    with: { predictions: predictions.jsonl }
  report:
    uses: report
    when: always
    with: { evaluators: { politeness: "${stages.politeness.outputs.metrics}" } }
`)
	build := exec.Command("go", "build", "-o", filepath.Join(p.dir, "politeness"), "../../plugins/examples/evaluator-go")
	if out, err := build.CombinedOutput(); err != nil {
		t.Fatalf("building the example: %v\n%s", err, out)
	}
	p.write("predictions.jsonl", `{"id":"1","model":"tuned","output":"公開情報です。"}
{"id":"2","model":"tuned","output":"だめだ"}
`)
	p.want(0, "run")
	if text := p.want(0, "status", "--json"); !strings.Contains(text, `"polite_rate": 0.5`) {
		t.Errorf("status does not show the metric:\n%s", text)
	}
	var report struct {
		Numbers []struct {
			Name, Stage, Output, SHA256 string
			Value                       float64
		}
	}
	for _, s := range p.status().Stages {
		if s.Instance == "report" {
			if err := json.Unmarshal(p.output(s, "json"), &report); err != nil {
				t.Fatal(err)
			}
		}
	}
	n := report.Numbers
	if len(n) != 1 || n[0].Name != "politeness.polite_rate" || n[0].Value != 0.5 || n[0].Stage != "politeness" || n[0].Output != "metrics" {
		t.Fatalf("the report's numbers are %+v", n)
	}
	if text := p.want(0, "artifacts", "--json"); !strings.Contains(text, n[0].SHA256) {
		t.Errorf("no artifact has the digest %s", n[0].SHA256)
	}
	p.want(0, "plugins", "test", "./politeness")
}
