package modeltool

import (
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
)

func probeNamed(t *testing.T, name string) (bool, string) {
	t.Helper()
	for _, p := range Probes() {
		if p.Name == name {
			return p.Run(t.Context())
		}
	}
	t.Fatalf("no probe %q", name)
	return false, ""
}

func TestProbes_EachSaysSomething(t *testing.T) {
	for _, p := range Probes() {
		if _, message := p.Run(t.Context()); message == "" {
			t.Errorf("%s says nothing", p.Name)
		}
	}
}

// On a machine without a GPU the message says what happens then.
func TestProbeCUDA(t *testing.T) {
	if ok, message := probeNamed(t, "cuda"); !ok && !strings.HasSuffix(message, "the CPU is used") || ok && !strings.Contains(message, "GiB") {
		t.Errorf("%v %s", ok, message)
	}
}

func TestProbeCPU(t *testing.T) {
	if ok, message := probeNamed(t, "cpu"); !ok || !strings.Contains(message, "threads") || !strings.Contains(message, "Phi-4-mini") {
		t.Errorf("%v %s", ok, message)
	}
	t.Setenv("SO8T_KERNELS", "abacus")
	if ok, message := probeNamed(t, "cpu"); ok || !strings.Contains(message, "abacus") {
		t.Errorf("%v %s", ok, message)
	}
}

func TestProbeBLAS(t *testing.T) {
	t.Setenv("SO8T_BLAS", "none")
	if ok, message := probeNamed(t, "blas"); ok || !strings.Contains(message, "own kernels") {
		t.Errorf("%v %s", ok, message)
	}
	t.Setenv("SO8T_BLAS", "/nowhere/libblas.so")
	if ok, message := probeNamed(t, "blas"); ok || !strings.Contains(message, "SO8T_BLAS") {
		t.Errorf("%v %s", ok, message)
	}
}

func TestProbeOllama(t *testing.T) {
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.URL.Path != "/api/version" {
			http.NotFound(w, r)
			return
		}
		_, _ = w.Write([]byte(`{"version":"0.17.4"}`))
	}))
	for _, host := range []string{server.URL, strings.TrimPrefix(server.URL, "http://")} {
		t.Setenv("OLLAMA_HOST", host)
		if ok, message := probeNamed(t, "ollama"); !ok || !strings.Contains(message, "0.17.4") {
			t.Errorf("%s: %v %s", host, ok, message)
		}
	}
	server.Close()
	if ok, message := probeNamed(t, "ollama"); ok || !strings.Contains(message, "OLLAMA_HOST") {
		t.Errorf("closed: %v %s", ok, message)
	}
	t.Setenv("OLLAMA_HOST", "")
	t.Setenv("PATH", "")
	if ok, message := probeNamed(t, "ollama"); ok || !strings.Contains(message, "PATH") {
		t.Errorf("nothing: %v %s", ok, message)
	}
	stranger := httptest.NewServer(http.NotFoundHandler())
	defer stranger.Close()
	t.Setenv("OLLAMA_HOST", stranger.URL)
	if ok, message := probeNamed(t, "ollama"); ok || !strings.Contains(message, "404") {
		t.Errorf("a stranger: %v %s", ok, message)
	}
}
