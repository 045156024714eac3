package ollama

import (
	"bytes"
	"io"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/so8t/so8t/plugins"
	"github.com/so8t/so8t/stages/internal/chat"
	"github.com/so8t/so8t/stages/internal/jsonfile"
)

// realProgram is Ollama itself.
func realProgram(t *testing.T) string {
	t.Helper()
	program, err := exec.LookPath("ollama")
	if err != nil {
		t.Skip("ollama is not on PATH: .ci/install-ollama.sh builds it")
	}
	t.Setenv("OLLAMA_HOST", "")
	return program
}

// realServer is a server of Ollama for one test, with its models in a folder of its own.
func realServer(t *testing.T) (cl *client, models string) {
	t.Helper()
	program := realProgram(t)
	models = t.TempDir()
	cl, stop, err := start(t.Context(), program, Config{Models: models, Patience: 600, Threads: 1}, t.TempDir())
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(stop)
	return cl, models
}

// A real server is started, loads our file, renders, counts, answers and scores as we do, and is gone
// afterwards.
func TestReal_ServesEachKind(t *testing.T) {
	realProgram(t)
	for typ, repeats := range map[string]int{"F16": 2, "Q4_K_M": 1} {
		t.Run(typ, func(t *testing.T) {
			out, result, err := run(t, map[string]any{"gguf": ggufOf(t, typ), "scale": "tiny", "threads": 1, "repeats": repeats})
			if err != nil {
				t.Fatal(err)
			}
			r := reportIn(t, out)
			if r.Parity.Rendered != len(conversations) || r.Parity.Replied == 0 || len(r.Tests) != 6 || result.Metrics["tokens_per_second"] <= 0 || result.Metrics["answer_seconds"] <= 0 {
				t.Errorf("report %+v, metrics %v", r, result.Metrics)
			}
			if c := r.CrossCheck; c.Prompts != 3 || c.Scores < 50 || c.MaxDifference == 0 {
				t.Errorf("cross-check %+v", c)
			}
			t.Logf("%s: scores differ by %.4f, tolerance %.3f", typ, r.CrossCheck.MaxDifference, r.CrossCheck.Tolerance)
			for _, test := range r.Tests {
				if test.Output == "" || strings.Contains(test.Output, "<|end|>") || !test.Same {
					t.Errorf("test %q answered %q", test.Name, test.Output)
				}
			}
		})
	}
}

// What the stage has made is found again, is not replaced by one of another project, and the
// Modelfile makes the same model by hand.
func TestReal_OnceAndByHand(t *testing.T) {
	program := realProgram(t)
	cl, models := realServer(t)
	path := gguf(t)
	with := map[string]any{"gguf": path, "host": cl.base, "scale": "tiny", "threads": 1, "cross_check": false, "repeats": 1, "license": "Apache-2.0"}
	out, _, err := run(t, with)
	if err != nil {
		t.Fatal(err)
	}
	before := listing(t, models)
	if _, _, err := run(t, with); err != nil || !slices.Equal(listing(t, models), before) {
		t.Errorf("again: %v, files %q", err, listing(t, models))
	}
	made, err := cl.look(t.Context(), "so8t")
	if err != nil || made == nil || !made.of(owner(project)) || made.of(owner("/elsewhere")) {
		t.Fatalf("model %+v, %v", made, err)
	}
	dir := filepath.Dir(path) // model.gguf is there
	recipe, err := os.ReadFile(filepath.Join(out, "Modelfile"))
	if err == nil {
		err = os.WriteFile(filepath.Join(dir, "Modelfile"), recipe, 0o644)
	}
	if err != nil {
		t.Fatal(err)
	}
	cmd := exec.Command(program, "create", "by-hand", "-f", "Modelfile")
	cmd.Dir, cmd.Env = dir, append(os.Environ(), "OLLAMA_HOST="+cl.base, "HOME="+t.TempDir())
	if text, err := cmd.CombinedOutput(); err != nil {
		t.Fatalf("%v\n%s", err, text)
	}
	hand, err := cl.look(t.Context(), "by-hand")
	if err != nil || hand == nil {
		t.Fatalf("%+v, %v", hand, err)
	}
	if !slices.Equal(hand.lines(), made.lines()) || strings.TrimSpace(hand.License) != strings.TrimSpace(made.License) || mark(owner(project))+hand.Template != made.Template {
		t.Errorf("by hand %+v\nby the stage %+v", hand, made)
	}
	_, digest, _ := strings.Cut(string(recipe), "sha256 of model.gguf: ")
	digest, _, _ = strings.Cut(digest, "\n")
	if !hand.holds(digest) {
		t.Errorf("another file: %s", hand.Modelfile)
	}
	if _, _, err := run(t, map[string]any{"gguf": path, "host": cl.base, "name": "by-hand"}); plugins.CodeOf(err) != plugins.BadInput || !strings.Contains(err.Error(), "did not make") {
		t.Errorf("the user's own model: %v", err)
	}
	// Another context is another model; the one that had the name goes.
	with["num_ctx"] = 256
	if _, _, err := run(t, with); err != nil {
		t.Error(err)
	}
	if now, err := cl.look(t.Context(), "so8t"); err != nil || !strings.Contains(now.Parameters, "256") {
		t.Errorf("%+v, %v", now, err)
	}
	if left, err := cl.look(t.Context(), replacedName("so8t", owner(project))); err != nil || left != nil {
		t.Errorf("left: %+v, %v", left, err)
	}
}

// listing is every file below a folder.
func listing(t *testing.T, dir string) []string {
	t.Helper()
	var files []string
	err := filepath.WalkDir(dir, func(path string, d os.DirEntry, err error) error {
		if err == nil && !d.IsDir() {
			files = append(files, path)
		}
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	return files
}

// What a server takes silently and cannot run, and what it refuses, by our words for it.
func TestReal_Refusals(t *testing.T) {
	cl, models := realServer(t)
	path := gguf(t)
	nothing := func(int64, int64) {}
	wrong := strings.Repeat("0", 64)
	if err := cl.upload(t.Context(), path, wrong, nothing); plugins.CodeOf(err) != plugins.BadInput || !strings.Contains(err.Error(), "the file changed meanwhile") {
		t.Errorf("digest mismatch: %v", err)
	}
	o := newOffer(Config{GGUF: path}, "x", wrong, 512)
	if err := cl.create(t.Context(), "bad", o); err == nil || !strings.Contains(err.Error(), "no such file") {
		t.Errorf("no such blob: %v", err)
	}
	if err := cl.create(t.Context(), "bad name!", o); plugins.CodeOf(err) != plugins.BadInput || !strings.Contains(err.Error(), "choose another name") {
		t.Errorf("bad name: %v", err)
	}
	cut := filepath.Join(t.TempDir(), "cut.gguf")
	raw, err := os.ReadFile(path)
	if err == nil {
		err = os.WriteFile(cut, raw[:len(raw)/2], 0o644)
	}
	if err != nil {
		t.Fatal(err)
	}
	// The check of the name, and of the file, is left out here.
	for file, want := range map[string]string{cut: "the file is cut short", named(t, path, "phi3"): "created the model and cannot run it"} {
		digest, err := fileDigest(file)
		if err == nil {
			err = cl.upload(t.Context(), file, digest, nothing)
		}
		if err == nil {
			err = cl.create(t.Context(), "bad", newOffer(Config{GGUF: file}, "x", digest, 512))
		}
		if err == nil {
			_, err = cl.chat(t.Context(), "bad", []chat.Message{{Role: "user", Content: "?"}}, 1)
			err = cl.firstAnswer(err, true)
		}
		if err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%s: %v", filepath.Base(file), err)
		}
	}
	if err := cl.remove(t.Context(), "bad"); err != nil {
		t.Error(err)
	}
	if err := cl.remove(t.Context(), "bad"); err != nil {
		t.Errorf("a model that is not there: %v", err)
	}
	if left := listing(t, models); !slices.ContainsFunc(left, func(f string) bool { return strings.Contains(f, "sha256-") }) {
		t.Logf("no stray blobs: %q", left) // the rejected bytes stay until the next start
	}
}

// The server is killed in the middle of an upload: what it leaves is gone when a stage has used the
// same folder again, and the model is there.
func TestReal_KilledInAnUpload(t *testing.T) {
	program := realProgram(t)
	models, path := t.TempDir(), gguf(t)
	port, err := freePort(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	cmd := exec.Command(program, "serve")
	cmd.Env = append(os.Environ(), "OLLAMA_HOST=127.0.0.1:"+port, "OLLAMA_MODELS="+models, "HOME="+t.TempDir())
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	exited := make(chan error, 1)
	go func() { exited <- cmd.Wait() }()
	killed := false
	defer func() {
		if !killed {
			_ = cmd.Process.Kill()
		}
	}()
	cl, err := connectTo(t, "127.0.0.1:"+port, exited)
	if err != nil {
		t.Fatal(err)
	}
	raw, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	digest, err := fileDigest(path)
	if err != nil {
		t.Fatal(err)
	}
	r, w := io.Pipe()
	done := make(chan error, 1)
	go func() {
		done <- cl.exchange(t.Context(), "POST", "/api/blobs/sha256:"+digest, body{r, int64(len(raw))}, func(io.Reader) error { return nil })
	}()
	if _, err := w.Write(raw[:len(raw)/2]); err != nil {
		t.Fatal(err)
	}
	blobs := filepath.Join(models, "blobs")
	stray := func() []string { return listing(t, blobs) }
	for tick := time.NewTicker(10 * time.Millisecond); len(stray()) == 0; <-tick.C {
		if t.Context().Err() != nil {
			t.Fatal("no blob appears")
		}
	}
	killed = true
	if err := cmd.Process.Kill(); err != nil {
		t.Fatal(err)
	}
	_ = w.Close()
	if err := cl.explain("uploading", <-done); plugins.CodeOf(err) != plugins.Unavailable {
		t.Errorf("upload cut: %v", err)
	}
	<-exited
	left := stray()
	if len(left) == 0 {
		t.Fatal("nothing is left")
	}
	if _, _, err := run(t, map[string]any{"gguf": path, "models": models, "scale": "tiny", "threads": 1, "cross_check": false, "repeats": 1}); err != nil {
		t.Fatal(err)
	}
	for _, file := range left {
		if _, err := os.Stat(file); err == nil {
			t.Errorf("%s is still there", filepath.Base(file))
		}
	}
	kept, err := os.ReadFile(filepath.Join(blobs, "sha256-"+digest))
	if err != nil || !bytes.Equal(kept, raw) {
		t.Errorf("the model's blob: %v", err)
	}
}

func connectTo(t *testing.T, host string, exited chan error) (*client, error) {
	t.Helper()
	cl := &client{base: "http://" + host, http: &http.Client{}, patience: 10 * time.Minute}
	return cl, awaitReady(t.Context(), cl, exited, &tail{})
}

// What gc asks for: the model goes, but not one that the user has made of it, or somebody else's.
func TestReal_Release(t *testing.T) {
	cl, models := realServer(t)
	path := gguf(t)
	with := map[string]any{"gguf": path, "host": cl.base, "scale": "tiny", "threads": 1, "cross_check": false, "repeats": 1}
	out, _, err := run(t, with)
	if err != nil {
		t.Fatal(err)
	}
	var x plugins.External
	if err := jsonfile.Read(filepath.Join(out, plugins.ExternalPath), &x); err != nil {
		t.Fatal(err)
	}
	if err := cl.order(t.Context(), "POST", "/api/copy", map[string]string{"source": "so8t", "destination": "mine"}); err != nil {
		t.Fatal(err)
	}
	there := func(name string) bool {
		m, err := cl.look(t.Context(), name)
		if err != nil {
			t.Fatal(err)
		}
		return m != nil
	}
	other := x
	other.Digest = strings.Repeat("0", 64)
	for _, c := range []struct {
		project string
		x       plugins.External
		dry     bool
		says    bool
		stays   bool
	}{
		{"/another/project", x, false, false, true}, {project, other, false, false, true}, {project, x, true, true, true},
		{project, x, false, true, false}, {project, x, false, false, false},
	} {
		said, err := Release(t.Context(), c.project, c.x, c.dry)
		if err != nil || (said != "") != c.says || there("so8t") != c.stays || !there("mine") {
			t.Errorf("%+v: %q, %v", c, said, err)
		}
	}
	if kept := listing(t, filepath.Join(models, "blobs")); !slices.ContainsFunc(kept, func(f string) bool { return strings.HasSuffix(f, x.Digest) }) {
		t.Errorf("the user's copy has lost its file: %q", kept)
	}
}
