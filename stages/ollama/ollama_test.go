package ollama

import (
	"bytes"
	"encoding/json"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/so8t/so8t/plugins"
	"github.com/so8t/so8t/stages/internal/compute"
	"github.com/so8t/so8t/stages/internal/dataset"
	"github.com/so8t/so8t/stages/internal/jsonfile"
	"github.com/so8t/so8t/stages/internal/modelfile"
	"github.com/so8t/so8t/stages/internal/quant"
	"github.com/so8t/so8t/stages/internal/scoring"
)

// gguf exports the tiny model of the modelfile tests.
func gguf(t *testing.T) string { return ggufOf(t, "F16") }

func ggufOf(t *testing.T, typ string) string {
	t.Helper()
	m, err := modelfile.Open("../internal/modelfile/testdata/tiny-hf")
	if err != nil {
		t.Fatal(err)
	}
	defer m.Close()
	path := filepath.Join(t.TempDir(), "model.gguf")
	var b bytes.Buffer
	mix, err := quant.ParseMix(typ)
	if err != nil {
		t.Fatal(err)
	}
	e := modelfile.Export{Name: "tiny", Mix: mix, Config: m.Config, Source: m.Source, Template: m.Template}
	if err := e.Write(&b, nil); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(path, b.Bytes(), 0o644); err != nil {
		t.Fatal(err)
	}
	return path
}

const project = "/projects/one"

func run(t *testing.T, with map[string]any) (string, plugins.Result, error) {
	t.Helper()
	out := t.TempDir()
	raw, _ := json.Marshal(with)
	result, err := Stage{}.Run(t.Context(), &plugins.Attempt{With: raw, ProjectDir: project, OutputDir: out, ScratchDir: t.TempDir()})
	return out, result, err
}

// asked runs the stage on a fake without the cross-check.
func asked(t *testing.T, f *fake, path string, with map[string]any) (*Report, error) {
	t.Helper()
	all := map[string]any{"gguf": path, "host": serve(t, f, path), "cross_check": false}
	for key, value := range with {
		all[key] = value
	}
	out, _, err := run(t, all)
	return reportIn(t, out), err
}

func reportIn(t *testing.T, out string) *Report {
	t.Helper()
	var r Report
	if err := jsonfile.Read(filepath.Join(out, "ollama_report.json"), &r); err != nil {
		t.Logf("no report: %v", err)
	}
	return &r
}

func TestRun_ProvesThenNames(t *testing.T) {
	path := gguf(t)
	f := &fake{}
	r, err := asked(t, f, path, nil)
	if err != nil {
		t.Fatal(err)
	}
	// Arithmetic and the three judgements are right, the other two are not.
	if len(r.Tests) != 6 || r.Passed != 4 || r.Failed != 2 || r.Repeated != 6 || r.NumCtx != 512 {
		t.Errorf("report %+v", r)
	}
	if !r.TemplateEqual || !r.TokensEqual || !r.RepliesEqual || r.Parity.Conversations != len(conversations) || r.Parity.Rendered != len(conversations) || r.Parity.Tokens < 50 || r.Parity.Replied == 0 {
		t.Errorf("parity %+v", r.Parity)
	}
	if got := f.names(); !slices.Equal(got, []string{"so8t:latest"}) {
		t.Errorf("models on the server: %q", got)
	}
	if m := f.models["so8t:latest"]; m.params["num_ctx"] != 512.0 || m.params["repeat_penalty"] != 1.0 {
		t.Errorf("created with %v", m.params)
	}
	if n := f.count("POST /api/chat"); n < 6*2+2*len(conversations) {
		t.Errorf("only %d conversations: the tests are to be repeated", n)
	}
}

func TestRun_UploadsAndCreatesOnce(t *testing.T) {
	path := gguf(t)
	f := &fake{}
	for range 2 {
		if _, err := asked(t, f, path, nil); err != nil {
			t.Fatal(err)
		}
	}
	if u, c := f.count("POST /api/blobs"), f.count("POST /api/create"); u != 1 || c != 1 {
		t.Errorf("two runs: %d uploads, %d creates", u, c)
	}
	for change, with := range map[string]map[string]any{"context": {"num_ctx": 256}, "licence": {"license": "MIT"}} {
		creates := f.count("POST /api/create")
		if _, err := asked(t, f, path, with); err != nil || f.count("POST /api/create") != creates+1 || f.count("POST /api/blobs") != 1 {
			t.Errorf("another %s: %v, %d creates, %d uploads", change, err, f.count("POST /api/create")-creates, f.count("POST /api/blobs"))
		}
	}
	// Another file takes the place of the first, and nothing of that stays.
	if _, err := asked(t, f, ggufOf(t, "Q8_0"), nil); err != nil {
		t.Fatal(err)
	}
	if len(f.blobs) != 1 || !slices.Equal(f.names(), []string{"so8t:latest"}) {
		t.Errorf("models %q, %d blobs", f.names(), len(f.blobs))
	}
}

// A trial leaves nothing on the server.
func TestRun_Trial(t *testing.T) {
	f := &fake{}
	r, err := asked(t, f, gguf(t), map[string]any{"keep": false})
	if err != nil || r.Passed != 4 || len(f.names()) != 0 || len(f.blobs) != 0 {
		t.Errorf("%v, %+v; left %q", err, r, f.names())
	}
}

// The licence is on the server, and in the Modelfile.
func TestRun_Licence(t *testing.T) {
	path := gguf(t)
	f := &fake{}
	out, _, err := run(t, map[string]any{"gguf": path, "host": serve(t, f, path), "cross_check": false, "license": "Apache-2.0"})
	if err != nil || f.models["so8t:latest"].license != "Apache-2.0" {
		t.Errorf("licence %q, %v", f.models["so8t:latest"].license, err)
	}
	text, err := os.ReadFile(filepath.Join(out, "Modelfile"))
	if err != nil || !strings.Contains(string(text), `LICENSE """Apache-2.0"""`) || strings.Contains(string(text), owner(project)) {
		t.Errorf("%v\n%s", err, text)
	}
}

func TestRun_LeavesModelsOfOthersAlone(t *testing.T) {
	path := gguf(t)
	f := &fake{blobs: map[string]bool{}, models: map[string]fakeModel{"so8t:latest": {digest: "ab", template: "{{ .Prompt }}"}}}
	_, err := asked(t, f, path, nil)
	if plugins.CodeOf(err) != plugins.BadInput || !strings.Contains(err.Error(), "ollama rm so8t") || f.models["so8t:latest"].digest != "ab" || f.count("POST /api/blobs") != 0 {
		t.Errorf("got %v, models %v", err, f.models)
	}
	f.models["so8t:latest"] = fakeModel{digest: "ab", template: mark(owner("/another/project")) + "x"}
	if _, err := asked(t, f, path, nil); plugins.CodeOf(err) != plugins.BadInput {
		t.Errorf("a model of another project: %v", err)
	}
}

func TestRun_RequiredTests(t *testing.T) {
	path := gguf(t)
	f := &fake{answer: func(string) string { return dataset.Target(dataset.Allow, "はい。") }}
	r, err := asked(t, f, path, nil)
	if plugins.CodeOf(err) != plugins.Gate || !strings.Contains(err.Error(), "use non-public") || r.Failed == 0 {
		t.Errorf("got %v, report %+v", err, r)
	}
	if got := f.names(); len(got) != 0 {
		t.Errorf("a refused model is left: %q", got)
	}
	if _, err := asked(t, f, path, map[string]any{"scale": "tiny"}); err != nil {
		t.Errorf("tiny requires nothing, but: %v", err)
	}
	right := &fake{}
	if _, err := asked(t, right, path, map[string]any{"general_required": true}); plugins.CodeOf(err) != plugins.Gate || !strings.Contains(err.Error(), "long form") {
		t.Errorf("the general tests are required: %v", err)
	}
}

// A test that is right at first and wrong when it is asked again has failed.
func TestRun_EachRepeatCounts(t *testing.T) {
	path := gguf(t)
	n := 0
	f := &fake{answer: func(prompt string) string {
		if strings.Contains(prompt, dataset.TripleTests()[0].Prompt) {
			if n++; n > 1 {
				return dataset.Target(dataset.Deny, "いいえ。")
			}
		}
		return rightAnswers(prompt)
	}}
	r, err := asked(t, f, path, nil)
	if plugins.CodeOf(err) != plugins.Gate || !strings.Contains(err.Error(), "asked again") || r.Repeated != 5 {
		t.Errorf("got %v, %+v", err, r)
	}
}

func TestRun_ServerHidesThePrompt(t *testing.T) {
	r, err := asked(t, &fake{hides: true}, gguf(t), nil)
	if err != nil || r.Parity.Rendered != 0 || !r.TokensEqual || !r.RepliesEqual {
		t.Errorf("got %v, %+v", err, r)
	}
}

// The fake scores with our own inference, changed a little: within the tolerance, then beyond it.
func TestRun_CrossCheck(t *testing.T) {
	path := gguf(t)
	be, err := compute.Open("cpu", 1)
	if err != nil {
		t.Fatal(err)
	}
	defer be.Close()
	judge, err := scoring.Open(be, path, nil, crossCheckTokens)
	if err != nil {
		t.Fatal(err)
	}
	defer judge.Close()
	change := 0.01
	f := &fake{scores: func(ids []int32) []score {
		logits, err := judge.Runner().LastLogits(ids)
		if err != nil {
			t.Error(err)
		}
		var top []score
		for id := range int32(mostTop) {
			s := score{LogProb: float64(logits[id]) - logSum(logits) + change}
			for _, b := range []byte(judge.Template().Tokenizer().TokenBytes(id)) {
				s.Bytes = append(s.Bytes, int(b))
			}
			top = append(top, s)
		}
		return top
	}}
	r, err := asked(t, f, path, map[string]any{"cross_check": true})
	if c := r.CrossCheck; err != nil || c == nil || c.Prompts != 3 || c.Scores != 3*mostTop || c.MaxDifference < 0.009 || c.MaxDifference > 0.011 || c.Tolerance != toleranceFloat {
		t.Errorf("got %v, %+v", err, c)
	}
	change = 0.03
	if _, err := asked(t, f, path, map[string]any{"cross_check": true}); plugins.CodeOf(err) != plugins.Gate || !strings.Contains(err.Error(), "our own inference") {
		t.Errorf("scores that are 0.03 off: %v", err)
	}
	if _, err := asked(t, f, path, map[string]any{"cross_check": true, "tolerance": 0.05}); err != nil {
		t.Errorf("within the tolerance that is given: %v", err)
	}
}

func TestTolerance(t *testing.T) {
	for typ, want := range map[string]float64{"F16": toleranceFloat, "Q8_0": toleranceQ8, "Q4_K_M": toleranceK} {
		c := Config{GGUF: ggufOf(t, typ)}
		if got, err := c.tolerance(4); err != nil || got != want {
			t.Errorf("%s: %v, %v", typ, got, err)
		}
		if got, err := c.tolerance(32); err != nil || got != want*deepFactor {
			t.Errorf("%s, deep: %v, %v", typ, got, err)
		}
	}
}

func TestCheck_NamesTheProblem(t *testing.T) {
	path := gguf(t)
	host := serve(t, &fake{}, path)
	bad := named(t, path, "PHI3")
	for _, c := range []struct {
		with  map[string]any
		field string
		text  string
	}{
		{map[string]any{"gguf": path, "name": "bad name!"}, "name", "letters"},
		{map[string]any{"gguf": path, "num_ctx": 513}, "num_ctx", "at most 512"},
		{map[string]any{"gguf": bad}, "gguf", "phi3 or phi-3"},
		{map[string]any{"gguf": "/nowhere.gguf"}, "gguf", "nowhere"},
	} {
		c.with["host"] = host
		raw, _ := json.Marshal(c.with)
		report, err := Stage{}.Check(t.Context(), plugins.CheckRequest{With: raw})
		if err != nil || len(report.Problems) != 1 || report.Problems[0].Field != c.field || !strings.Contains(report.Problems[0].Message, c.text) {
			t.Errorf("%v: %+v, %v", c.with, report.Problems, err)
		}
		if _, _, err := run(t, c.with); err == nil || !strings.Contains(err.Error(), c.text) {
			t.Errorf("run with %v: %v", c.with, err)
		}
	}
}

// named is the file under another general.name, which our writer would refuse; as long as "tiny".
func named(t *testing.T, path, name string) string {
	t.Helper()
	raw, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	key := bytes.Index(raw, []byte("general.name"))
	at := key + bytes.Index(raw[key:], []byte("tiny"))
	copy(raw[at:], name)
	other := filepath.Join(t.TempDir(), "named.gguf")
	if err := os.WriteFile(other, raw, 0o644); err != nil {
		t.Fatal(err)
	}
	return other
}

// The place of the model is a fact: work done for another server is not reused.
func TestCheck_StatesThePlace(t *testing.T) {
	path := gguf(t)
	host := serve(t, &fake{}, path)
	raw, _ := json.Marshal(map[string]any{"gguf": path, "host": host})
	report, err := Stage{}.Check(t.Context(), plugins.CheckRequest{With: raw})
	if err != nil || report.Facts["server"] != host || report.Facts["ollama"] != "0.17.4" || report.Facts["threads"] == "" || report.Needs.Memory == 0 || report.Needs.Disk != 0 {
		t.Errorf("%+v, %v", report, err)
	}
}

func TestCheckName(t *testing.T) {
	for name, good := range map[string]bool{
		"so8t": true, "so8t:q8": true, "me/so8t": true, "host:5000/me/so8t:v1.2": true, "_a": true,
		"": false, "bad name!": false, "so8t:": false, ":tag": false, "a/b/c/d": false, "-x": false, "na.me/x": false, "x:" + strings.Repeat("t", 81): false,
	} {
		if err := checkName(name); (err == nil) != good {
			t.Errorf("%q: %v", name, err)
		}
	}
}

// The same on the fake, and with a server that is down; what a killed attempt left under its trial name
// goes too.
func TestRelease(t *testing.T) {
	path := gguf(t)
	f := &fake{before: on("POST /api/chat", drop)}
	host := serve(t, f, path)
	out, _, err := run(t, map[string]any{"gguf": path, "host": host, "cross_check": false})
	if plugins.CodeOf(err) != plugins.Unavailable || len(f.names()) != 1 {
		t.Fatalf("%v, models %q", err, f.names())
	}
	var x plugins.External
	if err := jsonfile.Read(filepath.Join(out, plugins.ExternalPath), &x); err != nil || x.Place != host || x.Name != "so8t" {
		t.Fatalf("%+v, %v", x, err)
	}
	for n, c := range []struct {
		project string
		dry     bool
		says    bool
		left    int
	}{{"/another/project", false, false, 1}, {project, true, true, 1}, {project, false, true, 0}, {project, false, false, 0}} {
		if said, err := Release(t.Context(), c.project, x, c.dry); err != nil || (said != "") != c.says || len(f.names()) != c.left {
			t.Errorf("%d: %q, %v, models %q", n, said, err, f.names())
		}
	}
	x.Place = "http://127.0.0.1:1"
	if _, err := Release(t.Context(), project, x, false); plugins.CodeOf(err) != plugins.Unavailable {
		t.Errorf("server down: %v", err)
	}
	x.Place = filepath.Join(t.TempDir(), "gone")
	if said, err := Release(t.Context(), project, x, false); err != nil || said != "" {
		t.Errorf("the folder of models is gone: %q, %v", said, err)
	}
}
