package report

import (
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"maps"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"

	"github.com/so8t/so8t/plugins"
)

var whole = map[string]any{
	"title": "a <report>", "stats": "testdata/stats.json", "curve": "testdata/curve.jsonl", "sample": "testdata/sample.txt", "bake": "testdata/bake_report.json",
	"gguf": map[string]string{"gguf-f16": "testdata/gguf_report.json"}, "ollama": "testdata/ollama_report.json",
	"calibration": "testdata/calibration.json", "metrics": "testdata/metrics.json", "evaluators": map[string]string{"manners": "testdata/evaluator.json"},
	"scores": map[string]string{"manners": "testdata/scores.jsonl", "absent": ""},
}

func run(t *testing.T, with map[string]any, facts map[string]string) (page, markdown string, numbers []Number) {
	t.Helper()
	out := t.TempDir()
	raw, _ := json.Marshal(with)
	if _, err := (Stage{}).Run(t.Context(), &plugins.Attempt{With: raw, OutputDir: out, Facts: facts}); err != nil {
		t.Fatal(err)
	}
	read := func(name string) string {
		b, err := os.ReadFile(filepath.Join(out, name))
		if err != nil {
			t.Fatal(err)
		}
		return string(b)
	}
	var file struct{ Numbers []Number }
	if err := json.Unmarshal([]byte(read("report.json")), &file); err != nil {
		t.Fatal(err)
	}
	return read("report.html"), read("report.md"), file.Numbers
}

// Every number on the page is in report.json, and its digest is that of the file it came from.
func TestRun_EveryNumberIsTraced(t *testing.T) {
	page, _, numbers := run(t, whole, nil)
	digests := map[string]string{
		"data": "stats.json", "train": "curve.jsonl", "bake": "bake_report.json", "gguf-f16": "gguf_report.json", "ollama": "ollama_report.json",
		"calibrate": "calibration.json", "eval": "metrics.json", "manners": "evaluator.json",
	}
	known := map[string]bool{}
	for _, n := range numbers {
		known[n.Name] = true
		b, err := os.ReadFile(filepath.Join("testdata", digests[n.Stage]))
		if err != nil {
			t.Fatalf("number %s is of stage %q: %v", n.Name, n.Stage, err)
		}
		switch n.Output {
		case "sample":
			b, _ = os.ReadFile("testdata/sample.txt")
		case "scores":
			b, _ = os.ReadFile("testdata/scores.jsonl")
		}
		if sum := sha256.Sum256(b); hex.EncodeToString(sum[:]) != n.SHA256 {
			t.Errorf("number %s has digest %s", n.Name, n.SHA256)
		}
	}
	shown := regexp.MustCompile(`data-number="([^"]+)"`).FindAllStringSubmatch(page, -1)
	if len(shown) < 100 {
		t.Errorf("only %d numbers are shown", len(shown))
	}
	for _, m := range shown {
		if !known[m[1]] {
			t.Errorf("number %s is shown and not in report.json", m[1])
		}
	}
	// What is outside of marked numbers, figures and texts of others holds no decimal fraction.
	rest := regexp.MustCompile(`(?s)<style>.*?</style>|<svg.*?</svg>|<script.*?</script>|<details>.*</details>|<span class="n".*?</span>`).ReplaceAllString(page, "")
	if m := regexp.MustCompile(`\d\.\d{2,}[^.\d]`).FindString(regexp.MustCompile(`Ollama [\d.]+`).ReplaceAllString(rest, "")); m != "" {
		t.Errorf("the page says %q without a source", m)
	}
}

// What proves the export is shown beside what it had to be.
func TestRun_ShowsProofsWithTheirLimits(t *testing.T) {
	_, markdown, _ := run(t, whole, nil)
	for _, want := range []string{
		"Merged onto the dequantised base: the lower validation NLL", "2048 tokens: original 0.41231, dequantised 0.41127",
		"| 3.7e-07 | 1e-05 | 0.9987 | 0.98 |", "| 4 | 83 | all equal |", "| 57 | 0.0032 | 0.02 |",
	} {
		if !strings.Contains(markdown, want) {
			t.Errorf("the report lacks %q", want)
		}
	}
}

// So is every count that a figure shows.
func TestRun_NumbersOfFiguresAreTraced(t *testing.T) {
	page, _, numbers := run(t, whole, nil)
	value := map[string]bool{}
	for _, n := range numbers {
		if strings.Contains(n.Name, "confusion.") || strings.Contains(n.Name, ".bin") {
			value[fmt.Sprint(n.Value)] = true
		}
	}
	counts := 0
	for _, svg := range regexp.MustCompile(`(?s)<svg[^>]*aria-label="(?:confusion|reliability).*?</svg>`).FindAllString(page, -1) {
		for _, m := range regexp.MustCompile(`>(\d+)</text>`).FindAllStringSubmatch(svg, -1) {
			if counts++; !value[m[1]] && m[1] != "1" { // 1 ends an axis
				t.Errorf("a figure shows %s, which is not in report.json", m[1])
			}
		}
	}
	if counts < 20 {
		t.Errorf("only %d counts were found in the figures", counts)
	}
}

// The first row is shown as it is, and its counts are numbers of the report.
func TestRun_ShowsTheFirstRow(t *testing.T) {
	page, markdown, numbers := run(t, whole, nil)
	if !strings.Contains(page, "<pre>&lt;|system|&gt;あなたは審査官です。&lt;|end|&gt;") || !strings.Contains(page, "⟦判定: ALLOW&lt;|end|&gt;⟧</pre>") {
		t.Error("not on the page")
	}
	if !strings.Contains(markdown, "公開された```統計```|を転載します。\n    判定は？<|end|><|assistant|>⟦判定: ALLOW<|end|>⟧\n") {
		t.Errorf("not in the Markdown\n%s", markdown)
	}
	value := map[string]float64{}
	for _, n := range numbers {
		value[n.Name] = n.Value
	}
	if value["train.sample_tokens"] != 41 || value["train.sample_learnt"] != 6 || value["train.rows_cut"] != 12 {
		t.Errorf("counts %v", value)
	}
	with := maps.Clone(whole)
	with["sample"] = "testdata/stats.json"
	raw, _ := json.Marshal(with)
	if _, err := (Stage{}).Run(t.Context(), &plugins.Attempt{With: raw, OutputDir: t.TempDir()}); plugins.CodeOf(err) != plugins.BadInput {
		t.Errorf("of another file: %v", err)
	}
}

// What an evaluator made of the rows is summed up.
func TestRun_SumsUpScores(t *testing.T) {
	_, markdown, _ := run(t, whole, nil)
	if !strings.Contains(markdown, "| absent | ○ not run |") {
		t.Error("a stage without scores is not named")
	}
	for _, row := range []string{"rows with a score | 3", "score: mean | 0.5833", "score: lowest | 0.25", "score: highest | 1"} {
		if !strings.Contains(markdown, "| manners | "+row+" |") {
			t.Errorf("no row %q in\n%s", row, markdown)
		}
	}
	with := maps.Clone(whole)
	with["scores"] = map[string]string{"manners": "testdata/curve.jsonl"}
	raw, _ := json.Marshal(with)
	_, err := (Stage{}).Run(t.Context(), &plugins.Attempt{With: raw, OutputDir: t.TempDir()})
	if plugins.CodeOf(err) != plugins.BadInput || !strings.Contains(err.Error(), "line 1 is no row with a score") {
		t.Errorf("of another file: %v", err)
	}
}

// What an exported file lost is shown with the limit that it passed.
func TestRun_ShowsTheGateOfGGUF(t *testing.T) {
	_, markdown, numbers := run(t, whole, nil)
	if !strings.Contains(markdown, "| 3.7e-07 | 1e-05 | 0.9987 |") {
		t.Errorf("no KL in\n%s", markdown)
	}
	for _, n := range numbers {
		if n.Name == "gguf-f16.divergence.kl_limit" && n.Value == 1e-5 {
			return
		}
	}
	t.Error("the limit is not in report.json")
}

// No accuracy is shown without how far it can be believed.
func TestRun_EveryAccuracyHasItsInterval(t *testing.T) {
	_, markdown, _ := run(t, whole, nil)
	for _, row := range []string{"character n-grams", "always [A-Z]+", "tuned, as exported", "untouched base", "accuracy of the calibrated decision"} {
		if !regexp.MustCompile(`\| ` + row + ` \| [\d.]+ % \| [\d.]+ – [\d.]+ % \|`).MatchString(markdown) {
			t.Errorf("no interval beside the accuracy of %s", row)
		}
	}
}

// The accuracy on the page is the one in eval's metrics.
func TestRun_ShowsWhatTheArtifactSays(t *testing.T) {
	_, markdown, numbers := run(t, whole, nil)
	var e struct {
		Models map[string]struct{ Accuracy float64 }
	}
	raw, err := os.ReadFile("testdata/metrics.json")
	if err == nil {
		err = json.Unmarshal(raw, &e)
	}
	if err != nil {
		t.Fatal(err)
	}
	for _, n := range numbers {
		if n.Name == "eval.accuracy" && n.Value != e.Models["tuned"].Accuracy {
			t.Errorf("accuracy is %v in the report and %v in the artifact", n.Value, e.Models["tuned"].Accuracy)
		}
	}
	for _, want := range []string{"✘ failed: the answer holds none of", "✔ passed", "| manners | politeness | 0.75 |", "5 &lt;b>です", `| Largest angle | \|RᵀR − I\| |`} {
		if !strings.Contains(markdown, want) {
			t.Errorf("the Markdown lacks %q", want)
		}
	}
}

func TestRun_PageIsSelfContained(t *testing.T) {
	page, _, _ := run(t, whole, nil)
	if m := regexp.MustCompile(`(?i)(src|href)=|url\(|@import|<link`).FindString(page); m != "" {
		t.Errorf("the page loads something: %q", m)
	}
	if strings.Count(page, "<svg") != 5 {
		t.Errorf("%d figures, want loss, three reliability diagrams and a confusion matrix", strings.Count(page, "<svg"))
	}
	if strings.Contains(page, "<b>です") || strings.Contains(page, "<title>a <report>") {
		t.Error("text of others is not escaped")
	}
	m := regexp.MustCompile(`<script type="application/json" id="numbers">(.*?)</script>`).FindStringSubmatch(page)
	var embedded struct{ Numbers []Number }
	if m == nil || json.Unmarshal([]byte(m[1]), &embedded) != nil || len(embedded.Numbers) == 0 {
		t.Error("the numbers are not embedded")
	}
}

// Not run, failed and passed look different.
func TestRun_TellsNotRunFromFailed(t *testing.T) {
	page, markdown, _ := run(t, map[string]any{"stats": "testdata/stats.json"}, map[string]string{
		"outcome.train": "failed: out of memory", "outcome.ollama": "skipped: no server", "outcome.eval": "blocked: train",
	})
	for _, want := range []string{
		`<td>data</td><td><span class="s passed">✔ passed</span></td>`, `<td>train</td><td><span class="s failed">✘ failed</span> out of memory</td>`,
		`<td>ollama</td><td><span class="s notrun">○ not run</span> no server</td>`, `<td>eval</td><td><span class="s notrun">○ not run</span> an earlier stage failed</td>`,
	} {
		if !strings.Contains(page, want) {
			t.Errorf("the page lacks %s", want)
		}
	}
	if !strings.Contains(markdown, "✘ failed: out of memory") || !strings.Contains(markdown, "○ not run: no server") {
		t.Errorf("the Markdown does not tell states apart:\n%s", markdown)
	}
}
