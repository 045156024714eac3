package ollama

import (
	"cmp"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"io"
	"maps"
	"net/http"
	"net/http/httptest"
	"slices"
	"strings"
	"sync"
	"testing"
	"text/template"

	"github.com/so8t/so8t/stages/internal/chat"
	"github.com/so8t/so8t/stages/internal/dataset"
	"github.com/so8t/so8t/stages/internal/modelfile"
)

// fakeModel is a model as the fake keeps it.
type fakeModel struct {
	digest, template, license string
	params                    map[string]any
}

// fake behaves as Ollama 0.17.4 did in recorded conversations, its silent failures included, with
// answers of its own.
type fake struct {
	model *modelfile.Model
	// answer is what the model says to a rendered prompt.
	answer func(prompt string) string
	// scores are the log-probabilities after a prompt; none when nil.
	scores func(ids []int32) []score

	version  string
	template string // instead of the one that create is given
	// before sees each request; true: it has answered it.
	before func(w http.ResponseWriter, r *http.Request) bool
	// refuse is an error inside the stream of a create, load one of the first generate.
	refuse, load string
	context      int  // instead of num_ctx
	hides        bool // it does not tell the rendered prompt
	cut          bool // a stream of tokens ends without its last line

	mu       sync.Mutex
	blobs    map[string]bool
	models   map[string]fakeModel
	requests []string
}

func serve(t *testing.T, f *fake, path string) (host string) {
	t.Helper()
	m, err := modelfile.Open(path)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { m.Close() })
	if f.blobs == nil {
		f.blobs, f.models = map[string]bool{}, map[string]fakeModel{}
	}
	if f.answer == nil {
		f.answer = rightAnswers
	}
	f.model = m
	server := httptest.NewServer(f)
	t.Cleanup(server.Close)
	return server.URL
}

// count is how many requests of a method and path there were.
func (f *fake) count(request string) int {
	f.mu.Lock()
	defer f.mu.Unlock()
	n := 0
	for _, r := range f.requests {
		if strings.HasPrefix(r, request) {
			n++
		}
	}
	return n
}

// names of the models on the server, sorted.
func (f *fake) names() []string {
	f.mu.Lock()
	defer f.mu.Unlock()
	return slices.Sorted(maps.Keys(f.models))
}

func refused(w http.ResponseWriter, status int, message string) {
	w.WriteHeader(status)
	fmt.Fprintf(w, `{"error":%q}`, message)
}

func (f *fake) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	f.mu.Lock()
	f.requests = append(f.requests, r.Method+" "+r.URL.Path)
	f.mu.Unlock()
	if f.before != nil && f.before(w, r) {
		return
	}
	digest, isBlob := strings.CutPrefix(r.URL.Path, "/api/blobs/sha256:")
	var in struct {
		Model, Source, Destination string
	}
	switch {
	case isBlob:
		f.blob(w, r, digest)
		return
	case r.URL.Path == "/api/version":
		fmt.Fprintf(w, `{"version":%q}`, cmp.Or(f.version, "0.17.4"))
		return
	case r.URL.Path == "/api/create":
		f.create(w, r)
		return
	case r.URL.Path == "/api/chat" || r.URL.Path == "/api/generate":
		f.converse(w, r)
		return
	case r.Body != nil:
		_ = json.NewDecoder(r.Body).Decode(&in) // an empty body leaves it empty
	}
	f.mu.Lock()
	defer f.mu.Unlock()
	switch r.URL.Path {
	case "/api/ps":
		f.running(w)
	case "/api/show":
		f.show(w, in.Model)
	case "/api/copy":
		m, ok := f.models[full(in.Source)]
		if !ok {
			refused(w, http.StatusNotFound, "model not found")
			return
		}
		f.models[full(in.Destination)] = m
	case "/api/delete":
		if _, ok := f.models[full(in.Model)]; !ok {
			refused(w, http.StatusNotFound, "model not found")
			return
		}
		f.remove(full(in.Model))
	default:
		refused(w, http.StatusNotFound, "not found")
	}
}

// full is a name with its tag.
func full(name string) string {
	if !strings.Contains(name, ":") {
		return name + ":latest"
	}
	return name
}

// remove takes a model away, and its blob when no other model uses it.
func (f *fake) remove(name string) {
	digest := f.models[name].digest
	delete(f.models, name)
	for _, m := range f.models {
		if m.digest == digest {
			return
		}
	}
	delete(f.blobs, digest)
}

func (f *fake) blob(w http.ResponseWriter, r *http.Request, digest string) {
	f.mu.Lock()
	there := f.blobs[digest]
	f.mu.Unlock()
	if r.Method == http.MethodHead {
		if !there {
			w.WriteHeader(http.StatusNotFound)
		}
		return
	}
	sum := sha256.New()
	if _, err := io.Copy(sum, r.Body); err != nil {
		return
	}
	if got := hex.EncodeToString(sum.Sum(nil)); got != digest {
		refused(w, http.StatusBadRequest, fmt.Sprintf("digest mismatch, expected %q, got %q", "sha256:"+digest, "sha256:"+got))
		return
	}
	f.mu.Lock()
	defer f.mu.Unlock()
	f.blobs[digest] = true
	w.WriteHeader(http.StatusCreated)
}

func (f *fake) create(w http.ResponseWriter, r *http.Request) {
	var in struct {
		Model      string
		Files      map[string]string
		Template   string
		License    string
		Parameters map[string]any
	}
	if err := json.NewDecoder(r.Body).Decode(&in); err != nil {
		refused(w, http.StatusBadRequest, err.Error())
		return
	}
	fmt.Fprintln(w, `{"status":"parsing GGUF"}`)
	f.mu.Lock()
	defer f.mu.Unlock()
	digest := strings.TrimPrefix(in.Files["model.gguf"], "sha256:")
	switch {
	case f.refuse != "":
		fmt.Fprintf(w, "{\"error\":%q}\n", f.refuse)
		return
	case !f.blobs[digest]:
		fmt.Fprintln(w, `{"error":"open blobs: no such file or directory"}`)
		return
	}
	f.models[full(in.Model)] = fakeModel{digest, in.Template, in.License, in.Parameters}
	fmt.Fprintln(w, `{"status":"writing manifest"}`)
	fmt.Fprintln(w, `{"status":"success"}`)
}

// show aligns parameters and quotes texts, as the server does. The lock is held.
func (f *fake) show(w http.ResponseWriter, name string) {
	m, ok := f.models[full(name)]
	if !ok {
		refused(w, http.StatusNotFound, "model not found")
		return
	}
	var lines []string
	for key, value := range m.params {
		list, ok := value.([]any)
		if !ok {
			list = []any{value}
		}
		for _, v := range list {
			if text, ok := v.(string); ok {
				v = fmt.Sprintf("%q", text)
			}
			lines = append(lines, fmt.Sprintf("%-30s %v", key, v))
		}
	}
	slices.Sort(lines)
	_ = json.NewEncoder(w).Encode(map[string]string{
		"template": m.template, "license": m.license, "parameters": strings.Join(lines, "\n"),
		"modelfile": "# generated\nFROM /models/blobs/sha256-" + m.digest + "\nTEMPLATE x\n",
	})
}

// running shows every model as if it were loaded. The lock is held.
func (f *fake) running(w http.ResponseWriter) {
	var list []map[string]any
	for name, m := range f.models {
		length := m.params["num_ctx"]
		if f.context != 0 {
			length = f.context
		}
		list = append(list, map[string]any{"name": name, "context_length": length})
	}
	_ = json.NewEncoder(w).Encode(map[string]any{"models": list})
}

func (f *fake) converse(w http.ResponseWriter, r *http.Request) {
	var in struct {
		Model, Prompt string
		Messages      []chat.Message
		Debug         bool `json:"_debug_render_only"`
		Scores        bool `json:"logprobs"`
		Options       struct {
			Limit int `json:"num_predict"`
		}
	}
	_ = json.NewDecoder(r.Body).Decode(&in)
	f.mu.Lock()
	m, ok := f.models[full(in.Model)]
	f.mu.Unlock()
	if !ok {
		refused(w, http.StatusNotFound, fmt.Sprintf("model '%s' not found", in.Model))
		return
	}
	if f.template != "" {
		m.template = f.template
	}
	prompt := in.Prompt
	if in.Messages != nil {
		var b strings.Builder
		if err := template.Must(template.New("").Parse(m.template)).Execute(&b, map[string]any{"Messages": in.Messages}); err != nil {
			panic(err)
		}
		prompt = b.String()
	}
	encoder := json.NewEncoder(w)
	switch {
	case in.Debug && !f.hides:
		_ = encoder.Encode(map[string]any{"_debug_info": map[string]any{"rendered_template": prompt}})
		return
	case f.load != "":
		refused(w, http.StatusInternalServerError, f.load)
		return
	}
	ids := f.model.Template.Tokenizer().EncodeSpecial(prompt)
	field := func(text string) map[string]any {
		if in.Messages == nil {
			return map[string]any{"response": text}
		}
		return map[string]any{"message": map[string]any{"role": "assistant", "content": text}}
	}
	words := strings.SplitAfter(f.answer(prompt), "\n")
	for _, word := range words {
		line := field(word)
		if in.Scores && f.scores != nil {
			line["logprobs"] = []map[string]any{{"top_logprobs": f.scores(ids)}}
		}
		_ = encoder.Encode(line)
	}
	if f.cut {
		return
	}
	last := field("")
	maps.Copy(last, map[string]any{"done": true, "done_reason": "stop", "prompt_eval_count": len(ids), "eval_count": len(words), "eval_duration": 1e9, "prompt_eval_duration": 1e9})
	_ = encoder.Encode(last)
}

// rightAnswers judges the three triple tests as the guide wants.
func rightAnswers(prompt string) string {
	for _, test := range dataset.TripleTests() {
		if strings.Contains(prompt, test.Prompt) {
			return dataset.Target(test.Label, "理由です。")
		}
	}
	return "4です。"
}
