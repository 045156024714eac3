package ollama

import (
	"bytes"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"text/template"

	"github.com/so8t/so8t/plugins"
	"github.com/so8t/so8t/stages/internal/dataset"
	"github.com/so8t/so8t/stages/internal/jsonfile"
	"github.com/so8t/so8t/stages/internal/modelfile"
	"github.com/so8t/so8t/stages/internal/quant"
)

// gguf exports the tiny model of the modelfile tests.
func gguf(t *testing.T) string {
	t.Helper()
	m, err := modelfile.Open("../internal/modelfile/testdata/tiny-hf")
	if err != nil {
		t.Fatal(err)
	}
	defer m.Close()
	path := filepath.Join(t.TempDir(), "model.gguf")
	var b bytes.Buffer
	f16, err := quant.ParseMix("F16")
	if err != nil {
		t.Fatal(err)
	}
	e := modelfile.Export{Name: "tiny", Mix: f16, Config: m.Config, Source: m.Source, Template: m.Template}
	if err := e.Write(&b, nil); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(path, b.Bytes(), 0o644); err != nil {
		t.Fatal(err)
	}
	return path
}

// fake behaves as Ollama 0.17.4 did in recorded conversations, with answers of its own.
type fake struct {
	model    *modelfile.Model
	blobs    map[string]bool
	template string
	answer   func(prompt string) string
	uploads  int
}

func (f *fake) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	fail := func(status int, message string) {
		w.WriteHeader(status)
		fmt.Fprintf(w, `{"error":%q}`, message)
	}
	digest, isBlob := strings.CutPrefix(r.URL.Path, "/api/blobs/sha256:")
	switch {
	case r.URL.Path == "/api/version":
		fmt.Fprint(w, `{"version":"0.17.4"}`)
	case isBlob && r.Method == http.MethodHead:
		if !f.blobs[digest] {
			w.WriteHeader(http.StatusNotFound)
		}
	case isBlob:
		sum := sha256.New()
		_, _ = io.Copy(sum, r.Body)
		f.uploads++
		if got := hex.EncodeToString(sum.Sum(nil)); got != digest {
			fail(http.StatusBadRequest, "digest mismatch")
			return
		}
		f.blobs[digest] = true
		w.WriteHeader(http.StatusCreated)
	case r.URL.Path == "/api/create":
		var in struct {
			Files    map[string]string
			Template string
		}
		_ = json.NewDecoder(r.Body).Decode(&in)
		for _, d := range in.Files {
			if !f.blobs[strings.TrimPrefix(d, "sha256:")] {
				fail(http.StatusBadRequest, "invalid digest")
				return
			}
		}
		if f.template == "" {
			f.template = in.Template
		}
		fmt.Fprint(w, `{"status":"success"}`)
	case r.URL.Path == "/api/chat":
		f.chat(w, r)
	default:
		fail(http.StatusNotFound, "not found")
	}
}

func (f *fake) chat(w http.ResponseWriter, r *http.Request) {
	var in struct {
		Messages []struct{ Role, Content string }
		Debug    bool `json:"_debug_render_only"`
	}
	_ = json.NewDecoder(r.Body).Decode(&in)
	var prompt strings.Builder
	if err := template.Must(template.New("").Parse(f.template)).Execute(&prompt, map[string]any{"Messages": in.Messages}); err != nil {
		panic(err)
	}
	out := map[string]any{"done": !in.Debug}
	if in.Debug {
		out["_debug_info"] = map[string]any{"rendered_template": prompt.String()}
	} else {
		text := f.answer(in.Messages[len(in.Messages)-1].Content)
		out["message"] = map[string]any{"role": "assistant", "content": text}
		out["prompt_eval_count"] = len(f.model.Template.Tokenizer().EncodeSpecial(prompt.String()))
		out["eval_count"], out["eval_duration"] = 10, 1e9
	}
	_ = json.NewEncoder(w).Encode(out)
}

// rightAnswers judges the three triple tests as the guide wants.
func rightAnswers(prompt string) string {
	for _, test := range dataset.TripleTests() {
		if test.Prompt == prompt {
			return dataset.Target(test.Label, "理由です。")
		}
	}
	return "4です。"
}

func start(t *testing.T, f *fake, path string) (host string) {
	t.Helper()
	m, err := modelfile.Open(path)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { m.Close() })
	f.model, f.blobs = m, map[string]bool{}
	server := httptest.NewServer(f)
	t.Cleanup(server.Close)
	return server.URL
}

func run(t *testing.T, with map[string]any) (string, plugins.Result, error) {
	t.Helper()
	out := t.TempDir()
	raw, _ := json.Marshal(with)
	result, err := Stage{}.Run(t.Context(), &plugins.Attempt{With: raw, OutputDir: out, ScratchDir: t.TempDir()})
	return out, result, err
}

func TestRun_AsksSixQuestions(t *testing.T) {
	path := gguf(t)
	f := &fake{answer: rightAnswers}
	host := start(t, f, path)
	out, result, err := run(t, map[string]any{"gguf": path, "host": host})
	if err != nil {
		t.Fatal(err)
	}
	var r Report
	if err := jsonfile.Read(filepath.Join(out, "ollama_report.json"), &r); err != nil {
		t.Fatal(err)
	}
	// Arithmetic and the three judgements are right, the other two are not.
	if len(r.Tests) != 6 || r.Passed != 4 || result.Metrics["passed"] != 4 || !r.TemplateEqual || !r.TokensEqual || r.NumCtx != 512 {
		t.Errorf("report %+v", r)
	}
	if _, _, err := run(t, map[string]any{"gguf": path, "host": host}); err != nil || f.uploads != 1 {
		t.Errorf("the same file is uploaded %d times, %v", f.uploads, err)
	}
}

func TestRun_FailsWhenARequiredTestFails(t *testing.T) {
	path := gguf(t)
	host := start(t, &fake{answer: func(string) string { return dataset.Target(dataset.Allow, "はい。") }}, path)
	_, _, err := run(t, map[string]any{"gguf": path, "host": host})
	if plugins.CodeOf(err) != plugins.Gate || !strings.Contains(err.Error(), "use non-public") {
		t.Errorf("got %v", err)
	}
	if _, _, err := run(t, map[string]any{"gguf": path, "host": host, "scale": "tiny"}); err != nil {
		t.Errorf("tiny requires nothing, but: %v", err)
	}
}

func TestRun_RefusesAnotherTemplate(t *testing.T) {
	path := gguf(t)
	host := start(t, &fake{answer: rightAnswers, template: "{{ range .Messages }}{{ .Role }}: {{ .Content }}\n{{ end }}"}, path)
	if _, _, err := run(t, map[string]any{"gguf": path, "host": host}); plugins.CodeOf(err) != plugins.Gate {
		t.Errorf("got %v", err)
	}
}

func TestRun_WithoutAServer(t *testing.T) {
	t.Setenv("PATH", t.TempDir())
	t.Setenv("OLLAMA_HOST", "")
	path := gguf(t)
	_, result, err := run(t, map[string]any{"gguf": path, "required": false})
	if err != nil || !strings.Contains(result.Skipped, "OLLAMA_HOST") {
		t.Errorf("not required: %+v, %v", result, err)
	}
	if _, _, err := run(t, map[string]any{"gguf": path}); plugins.CodeOf(err) != plugins.Unavailable {
		t.Errorf("required: %v", err)
	}
	report, err := Stage{}.Check(t.Context(), plugins.CheckRequest{With: []byte(`{"gguf":"` + path + `"}`)})
	if err != nil || len(report.Problems) != 1 || report.Problems[0].Code != plugins.Unavailable {
		t.Errorf("check: %+v, %v", report.Problems, err)
	}
}

// A real server is started, loads our file, renders and counts as we do, and is gone afterwards.
func TestRun_RealServer(t *testing.T) {
	program, err := exec.LookPath("ollama")
	if err != nil {
		t.Skip("ollama is not on PATH: .ci/install-ollama.sh builds it")
	}
	t.Setenv("OLLAMA_HOST", "")
	t.Logf("using %s", program)
	out, result, err := run(t, map[string]any{"gguf": gguf(t), "triples_required": false})
	if err != nil {
		t.Fatal(err)
	}
	var r Report
	if err := jsonfile.Read(filepath.Join(out, "ollama_report.json"), &r); err != nil {
		t.Fatal(err)
	}
	if !r.TemplateEqual || !r.TokensEqual || len(r.Tests) != 6 || result.Metrics["tokens_per_second"] <= 0 {
		t.Errorf("report %+v, metrics %v", r, result.Metrics)
	}
	for _, test := range r.Tests {
		if test.Output == "" || strings.Contains(test.Output, "<|end|>") {
			t.Errorf("test %q answered %q", test.Name, test.Output)
		}
	}
}
