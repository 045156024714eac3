package ollama

import (
	"encoding/json"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/so8t/so8t/plugins"
)

// on answers requests that begin with a method and path; the others are the fake's.
func on(request string, answer http.HandlerFunc) func(http.ResponseWriter, *http.Request) bool {
	return func(w http.ResponseWriter, r *http.Request) bool {
		if !strings.HasPrefix(r.Method+" "+r.URL.Path, request) {
			return false
		}
		answer(w, r)
		return true
	}
}

// drop ends the connection, as a server does that dies.
func drop(w http.ResponseWriter, _ *http.Request) {
	conn, _, err := http.NewResponseController(w).Hijack()
	if err != nil {
		panic(err)
	}
	_ = conn.Close()
}

// stuck says nothing until the client has gone.
func stuck(_ http.ResponseWriter, r *http.Request) {
	_, _ = io.Copy(io.Discard, r.Body) // else the server does not see that the client went
	<-r.Context().Done()
}

func refusing(status int, message string) http.HandlerFunc {
	return func(w http.ResponseWriter, r *http.Request) {
		_, _ = io.Copy(io.Discard, r.Body)
		refused(w, status, message)
	}
}

// Each way in which a server can fail, as the real one does: the class of the error, what its message
// says, and whether the model waits under its trial name for the next attempt. None gets its name.
func TestRun_Failures(t *testing.T) {
	path := gguf(t)
	const waits = true
	for name, c := range map[string]struct {
		fake  *fake
		code  plugins.Code
		text  string
		waits bool
	}{
		"too old":           {&fake{version: "0.12.10"}, plugins.Unavailable, "0.12.11 or newer", false},
		"not an Ollama":     {&fake{before: on("GET /api/version", refusing(404, "what?"))}, plugins.Unavailable, "is no Ollama server", false},
		"foreign host name": {&fake{before: on("GET /api/version", refusing(403, ""))}, plugins.Unavailable, "does not answer to that host name", false},
		"digest mismatch": {&fake{before: on("POST /api/blobs", refusing(400, `digest mismatch, expected "sha256:0", got "sha256:1"`))},
			plugins.BadInput, "the file changed meanwhile", false},
		"upload cut":        {&fake{before: on("POST /api/blobs", drop)}, plugins.Unavailable, "cannot be reached", false},
		"upload, disk full": {&fake{before: on("POST /api/blobs", refusing(500, "write /models/blobs/sha256-1: no space left on device"))}, plugins.OutOfDisk, "OLLAMA_MODELS", false},
		"create, disk full": {&fake{refuse: "write manifest: no space left on device"}, plugins.OutOfDisk, "OLLAMA_MODELS", false},
		"create refused":    {&fake{refuse: "supplied file was not in GGUF format"}, plugins.BadInput, "export the model anew", false},
		"name refused":      {&fake{before: on("POST /api/create", refusing(400, "invalid model name"))}, plugins.BadInput, "choose another name", false},
		"create cut": {&fake{before: on("POST /api/create", func(w http.ResponseWriter, _ *http.Request) {
			_, _ = io.WriteString(w, "{\"status\":\"parsing GGUF\"}\n")
		})}, plugins.Unavailable, "went away", false},
		"loads not":          {&fake{load: "unable to load model: /models/blobs/sha256-1"}, plugins.Gate, "created the model and cannot run it", false},
		"no memory":          {&fake{load: "model requires more system memory (9 GiB) than is available (3 GiB)"}, plugins.OutOfMemory, "fewer bits", false},
		"another template":   {&fake{template: "{{ range .Messages }}{{ .Role }}: {{ .Content }}\n{{ end }}"}, plugins.Gate, "training rendered", false},
		"another, in secret": {&fake{hides: true, template: "{{ range .Messages }}<|{{ .Role }}|>\n{{ .Content }}<|end|>{{ end }}<|assistant|>"}, plugins.Gate, "another tokenizer, or another template", false},
		"other reply": {&fake{hides: true, template: "{{ range .Messages }}<|{{ .Role }}|>{{ .Content }}<|end|>{{ end }}<|user|>",
			answer: func(prompt string) string { return prompt[len(prompt)-4:] }}, plugins.Gate, "the server answers", false},
		"longer context": {&fake{context: 4096}, plugins.Gate, "4096 tokens instead of 512", false},
		"answer cut":     {&fake{cut: true}, plugins.Unavailable, "went away", waits},
		"dies":           {&fake{before: on("POST /api/generate", drop)}, plugins.Unavailable, "cannot be reached", waits},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			f := c.fake
			_, err := asked(t, f, path, nil)
			if plugins.CodeOf(err) != c.code || !strings.Contains(err.Error(), c.text) {
				t.Errorf("%s: %v", plugins.CodeOf(err), err)
			}
			left := f.names()
			if c.waits != (len(left) == 1) || len(left) == 1 && !strings.HasPrefix(left[0], "so8t:unproven-") {
				t.Errorf("left on the server: %q", left)
			}
		})
	}
}

// A server that hangs is given up, wherever it does.
func TestRun_StuckServer(t *testing.T) {
	path := gguf(t)
	for _, request := range []string{"POST /api/blobs", "POST /api/create", "POST /api/chat", "POST /api/show"} {
		t.Run(request, func(t *testing.T) {
			t.Parallel()
			f := &fake{before: on(request, stuck)}
			_, err := asked(t, f, path, map[string]any{"patience": 1})
			if plugins.CodeOf(err) != plugins.Timeout || !strings.Contains(err.Error(), "silent for 1s") {
				t.Errorf("%s: %v", plugins.CodeOf(err), err)
			}
			if _, named := f.models["so8t:latest"]; named {
				t.Error("the model has its name")
			}
		})
	}
}

func TestRun_ServerDown(t *testing.T) {
	server := httptest.NewServer(http.NotFoundHandler())
	server.Close()
	path := gguf(t)
	_, _, err := run(t, map[string]any{"gguf": path, "host": server.URL})
	if plugins.CodeOf(err) != plugins.Unavailable || !strings.Contains(err.Error(), "unset OLLAMA_HOST") {
		t.Errorf("got %v", err)
	}
	_, result, err := run(t, map[string]any{"gguf": path, "host": server.URL, "required": false})
	if err != nil || !strings.Contains(result.Skipped, "cannot be reached") {
		t.Errorf("not required: %+v, %v", result, err)
	}
}

// Killed anywhere and started again: what is uploaded is not uploaded again, what is created not
// created again, and the name is given once the model is proven.
func TestRun_GoesOnAfterItWasCut(t *testing.T) {
	path := gguf(t)
	for _, request := range []string{"POST /api/create", "POST /api/chat", "POST /api/generate", "POST /api/copy", "DELETE /api/delete"} {
		t.Run(request, func(t *testing.T) {
			t.Parallel()
			f := &fake{before: on(request, drop)}
			if _, err := asked(t, f, path, nil); plugins.CodeOf(err) != plugins.Unavailable {
				t.Fatalf("cut: %v", err)
			}
			creates := f.count("POST /api/create")
			f.before = nil
			if _, err := asked(t, f, path, nil); err != nil {
				t.Fatalf("again: %v", err)
			}
			if n := f.count("POST /api/blobs"); n != 1 {
				t.Errorf("uploaded %d times", n)
			}
			if n := f.count("POST /api/create") - creates; request != "POST /api/create" && n != 0 {
				t.Errorf("created again, %d times", n)
			}
			if got := f.names(); !slices.Equal(got, []string{"so8t:latest"}) {
				t.Errorf("models %q", got)
			}
		})
	}
}

// The stage is asked to stop in the middle of an upload.
func TestRun_Stops(t *testing.T) {
	path := gguf(t)
	stop := make(chan struct{})
	f := &fake{before: on("POST /api/blobs", func(w http.ResponseWriter, r *http.Request) {
		close(stop)
		stuck(w, r)
	})}
	with, _ := json.Marshal(map[string]any{"gguf": path, "host": serve(t, f, path), "cross_check": false})
	_, err := Stage{}.Run(t.Context(), &plugins.Attempt{With: with, OutputDir: t.TempDir(), ScratchDir: t.TempDir(), Stop: stop})
	if plugins.CodeOf(err) != plugins.Cancelled || len(f.names()) != 0 {
		t.Errorf("got %v, models %q", err, f.names())
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

// program puts a script named ollama on PATH.
func program(t *testing.T, script string) {
	t.Helper()
	if _, err := exec.LookPath("sh"); err != nil {
		t.Skip("no shell")
	}
	dir := t.TempDir()
	if err := os.WriteFile(filepath.Join(dir, "ollama"), []byte("#!/bin/sh\n"+script), 0o755); err != nil {
		t.Fatal(err)
	}
	t.Setenv("PATH", dir+string(os.PathListSeparator)+os.Getenv("PATH"))
	t.Setenv("OLLAMA_HOST", "")
}

// A server that ends at once: its last words are in the message.
func TestRun_ServerEndsAtOnce(t *testing.T) {
	program(t, "echo 'Error: no such option' >&2; exit 3\n")
	_, _, err := run(t, map[string]any{"gguf": gguf(t)})
	if plugins.CodeOf(err) != plugins.Unavailable || !strings.Contains(err.Error(), "no such option") || !strings.Contains(err.Error(), "exit status 3") {
		t.Errorf("got %v", err)
	}
}

// Another program takes the port between its choice and its use: another one is tried.
func TestRun_PortTaken(t *testing.T) {
	dir := t.TempDir()
	program(t, "echo . >> '"+dir+"/starts'\necho \"Error: listen tcp $OLLAMA_HOST: bind: address already in use\" >&2; exit 1\n")
	_, _, err := run(t, map[string]any{"gguf": gguf(t)})
	starts, readErr := os.ReadFile(filepath.Join(dir, "starts"))
	if plugins.CodeOf(err) != plugins.Unavailable || !strings.Contains(err.Error(), "already in use") || readErr != nil || len(starts) != 2*startTries {
		t.Errorf("got %v after %q starts, %v", err, starts, readErr)
	}
}

// A version that would be started is too old: found before anything runs.
func TestCheck_ProgramTooOld(t *testing.T) {
	program(t, "echo ollama version is 0.5.1\n")
	with, _ := json.Marshal(map[string]any{"gguf": gguf(t)})
	report, err := Stage{}.Check(t.Context(), plugins.CheckRequest{With: with})
	if err != nil || len(report.Problems) != 1 || !strings.Contains(report.Problems[0].Message, "0.5.1") {
		t.Errorf("%+v, %v", report.Problems, err)
	}
}

func TestFreePort_IsFree(t *testing.T) {
	port, err := freePort(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	l, err := net.Listen("tcp", "127.0.0.1:"+port)
	if err != nil {
		t.Fatal(err)
	}
	_ = l.Close()
}
