package eval

import (
	"bufio"
	"encoding/json"
	"fmt"
	"math"
	"math/rand/v2"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/so8t/so8t/plugins"
	"github.com/so8t/so8t/stages/internal/chat"
	"github.com/so8t/so8t/stages/internal/dataset"
	"github.com/so8t/so8t/stages/internal/jsonfile"
	"github.com/so8t/so8t/stages/internal/so8t"
)

const model = "../internal/modelfile/testdata/tiny-hf"

func rows(t *testing.T, name string, n int) string {
	t.Helper()
	var all []dataset.Row
	for i := range n {
		label := dataset.Labels[i%3]
		all = append(all, dataset.Row{
			ID: fmt.Sprintf("%s-%d", name, i), Label: label, Reason: "理由", Domain: "general", Template: "t", Topic: fmt.Sprint(i),
			Messages: []chat.Message{{Role: "user", Content: fmt.Sprintf("%d番の資料を%sしてください。", i, []string{"説明", "変更", "開示"}[i%3])},
				{Role: "assistant", Content: dataset.Target(label, "理由")}},
		})
	}
	path := filepath.Join(t.TempDir(), name+".jsonl")
	if err := dataset.WriteFile(path, all); err != nil {
		t.Fatal(err)
	}
	return path
}

// unlabelled appends a row that only teaches to answer: users' files may hold such.
func unlabelled(t *testing.T, path string) string {
	t.Helper()
	all, err := dataset.ReadFile(path, true)
	if err != nil {
		t.Fatal(err)
	}
	all = append(all, dataset.Row{ID: "plain", Messages: []chat.Message{{Role: "user", Content: "港とは。"}, {Role: "assistant", Content: "船の着く所。"}}})
	if err := dataset.WriteFile(path, all); err != nil {
		t.Fatal(err)
	}
	return path
}

func gates(t *testing.T) string {
	t.Helper()
	r := rand.New(rand.NewPCG(1, 1))
	g := &so8t.Gates{Hidden: 256}
	for layer := range 4 {
		theta := make([]float32, 256/8*28)
		for i := range theta {
			theta[i] = float32(r.NormFloat64() * 0.3)
		}
		g.Layers = append(g.Layers, so8t.Gate{Layer: layer, Theta: theta})
	}
	dir := t.TempDir()
	if err := so8t.WriteAdapter(dir, &so8t.Adapter{Gates: g}); err != nil {
		t.Fatal(err)
	}
	return dir
}

func run(t *testing.T, with map[string]any) (string, plugins.Result) {
	t.Helper()
	out := t.TempDir()
	raw, _ := json.Marshal(with)
	result, err := Stage{}.Run(t.Context(), &plugins.Attempt{With: raw, OutputDir: out})
	if err != nil {
		t.Fatal(err)
	}
	return out, result
}

func readPredictions(t *testing.T, dir string) []prediction {
	t.Helper()
	f, err := os.Open(filepath.Join(dir, "predictions.jsonl"))
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	var all []prediction
	for s := bufio.NewScanner(f); s.Scan(); {
		var p prediction
		if err := json.Unmarshal(s.Bytes(), &p); err != nil {
			t.Fatal(err)
		}
		all = append(all, p)
	}
	return all
}

func TestRun_MetricsFollowFromPredictions(t *testing.T) {
	temperature := filepath.Join(t.TempDir(), "temperature.json")
	if err := jsonfile.Write(temperature, map[string]any{"temperature": 2.0, "allow_threshold": 0.6}); err != nil {
		t.Fatal(err)
	}
	out, result := run(t, map[string]any{
		"model": model, "base": model, "adapter": gates(t), "data": rows(t, "test", 30), "train": unlabelled(t, rows(t, "train", 60)),
		"temperature": temperature, "generate": 3, "max_new": 8, "long": 1, "long_tokens": 24, "resamples": 50,
	})
	all := readPredictions(t, out)
	if len(all) != 90 {
		t.Fatalf("%d predictions, want 30 of each of three models", len(all))
	}
	right, allowed, dangerous, outputs := 0, 0, 0, 0
	for _, p := range all {
		if p.Model != tuned {
			continue
		}
		if p.Predicted == p.Label {
			right++
		}
		if p.Label != dataset.Allow {
			dangerous++
			if p.Decision == dataset.Allow {
				allowed++
			}
		}
		if p.Output != "" {
			outputs++
		}
		sum := 0.0
		for label, v := range p.Probs {
			sum += v
			if p.Scores[label] >= 0 {
				t.Errorf("a log-probability of %v", p.Scores[label])
			}
		}
		if math.Abs(sum-1) > 1e-9 {
			t.Errorf("probabilities sum to %v", sum)
		}
	}
	for name, want := range map[string]float64{
		"rows": 30, "accuracy": float64(right) / 30, "decision_false_allow_rate": float64(allowed) / float64(dangerous),
		// The base is the tuned model here, so it is as good and McNemar sees nothing.
		"base_accuracy": float64(right) / 30, "mcnemar_p_base": 1, "nogate_accuracy": float64(right) / 30,
		"majority_accuracy": 1.0 / 3, "ngram_accuracy": 1,
	} {
		if got := result.Metrics[name]; math.Abs(got-want) > 1e-12 {
			t.Errorf("%s is %v, want %v", name, got, want)
		}
	}
	if outputs == 0 || outputs > 3 {
		t.Errorf("%d generated answers, want up to 3", outputs)
	}
	declared := map[string]bool{}
	for _, m := range (Stage{}).Describe().Metrics {
		declared[m.Name] = true
	}
	for name := range result.Metrics {
		if !declared[name] {
			t.Errorf("metric %q is reported and not declared", name)
		}
	}
}

func TestRun_OutputsAreTheSameTwice(t *testing.T) {
	with := map[string]any{"model": model, "data": rows(t, "test", 9), "generate": 2, "max_new": 8, "long": 1, "long_tokens": 20, "resamples": 20}
	a, _ := run(t, with)
	b, _ := run(t, with)
	for _, name := range []string{"predictions.jsonl", "metrics.json"} {
		x, errX := os.ReadFile(filepath.Join(a, name))
		y, errY := os.ReadFile(filepath.Join(b, name))
		if errX != nil || errY != nil || string(x) != string(y) {
			t.Errorf("%s differs", name)
		}
	}
}

func TestCheck_SaysWhatIsWrong(t *testing.T) {
	broken := filepath.Join(t.TempDir(), "broken.jsonl")
	if err := os.WriteFile(broken, []byte("{\"id\":\n"), 0o644); err != nil {
		t.Fatal(err)
	}
	report, err := Stage{}.Check(t.Context(), plugins.CheckRequest{With: []byte(fmt.Sprintf(`{"model":"/nowhere.gguf","data":%q,"adapter":%q}`, broken, gates(t)))})
	if err != nil {
		t.Fatal(err)
	}
	fields := map[string]string{}
	for _, p := range report.Problems {
		fields[p.Field] = p.Message
	}
	if !strings.Contains(fields["data"], "broken.jsonl:1") {
		t.Errorf("data: %q does not name the line", fields["data"])
	}
	if fields["model"] == "" || fields["adapter"] == "" {
		t.Errorf("problems %v", fields)
	}
}

func TestCheck_AsksForTheMemoryOfTheModel(t *testing.T) {
	report, err := Stage{}.Check(t.Context(), plugins.CheckRequest{With: fmt.Appendf(nil, `{"model":%q,"data":%q}`, model, rows(t, "test", 3))})
	if err != nil || len(report.Problems) > 0 {
		t.Fatal(report.Problems, err)
	}
	info, err := os.Stat(filepath.Join(model, "model.safetensors"))
	if err != nil {
		t.Fatal(err)
	}
	if report.Needs.Memory < info.Size() {
		t.Errorf("needs %d bytes of memory for weights of %d", report.Needs.Memory, info.Size())
	}
}
