package modeltool

import (
	"context"
	"encoding/json"
	"fmt"
	"net/http"
	"os"
	"os/exec"
	"strings"
	"time"

	"github.com/so8t/so8t/stages/internal/backend/probe"
	"github.com/so8t/so8t/stages/internal/compute"
	"github.com/so8t/so8t/stages/internal/ollamahost"
	"github.com/so8t/so8t/stages/internal/phi3"
)

// Probe looks for one thing that the stages can use. The message says what was found, or what
// to do and what happens without it.
type Probe struct {
	Name string
	Run  func(ctx context.Context) (ok bool, message string)
}

// Probes returns what `so8t doctor` looks for.
func Probes() []Probe {
	return []Probe{{"cpu", probeCPU}, {"blas", probeBLAS}, {"cuda", probeCUDA}, {"ollama", probeOllama}}
}

func probeCPU(context.Context) (bool, string) {
	info, err := probe.Kernels()
	if err != nil {
		return false, fmt.Sprintf("%v; unset SO8T_KERNELS to take the best there are", err)
	}
	message := fmt.Sprintf("%s: %s kernels, %d threads", probe.Processor(), info.Device, info.Threads)
	if info.Device == "go" {
		message += "; slow: kernels in plain Go, because this build has no cgo or SO8T_KERNELS asks for them"
	}
	if need := guideNeeds(); need != "" {
		message += "; " + need
	}
	return true, message
}

// guideNeeds says what the model that so8t is made for takes to fine-tune.
func guideNeeds() string {
	dry, card := compute.OpenDry("cpu"), compute.OpenDry("cuda")
	defer discard(dry)
	defer discard(card)
	p, err := phi3.PlanGuide(dry)
	if err != nil {
		return ""
	}
	onCard, err := phi3.PlanGuide(card)
	if err != nil {
		return ""
	}
	return fmt.Sprintf("fine-tuning Phi-4-mini (int8, r 64, 2 rows of 512 tokens, recompute) takes %.1f GiB, on a GPU %.1f GiB of its memory",
		float64(p.Total())/gib, float64(onCard.OnGPU())/gib)
}

func probeBLAS(context.Context) (bool, string) {
	if os.Getenv("SO8T_BLAS") == "none" {
		return false, "own kernels are used, because SO8T_BLAS is none"
	}
	info, err := probe.CPU()
	if err != nil {
		return false, fmt.Sprintf("%v; unset SO8T_BLAS to search, or set it to none for own kernels", err)
	}
	if info.BLAS == "own" {
		return false, "no OpenBLAS found: own kernels are used; install OpenBLAS (Debian: libopenblas0, macOS: brew install openblas) or set SO8T_BLAS to a library for faster products"
	}
	return true, strings.TrimSpace(fmt.Sprintf("%s %s", info.BLAS, info.Version))
}

const gib = 1 << 30

func probeCUDA(context.Context) (bool, string) {
	g, err := probe.CUDA()
	if err != nil {
		return false, fmt.Sprintf("%v; the CPU is used", err)
	}
	return true, fmt.Sprintf("%s, compute capability %s, %.1f of %.1f GiB free, driver for CUDA %s, cuBLAS %s (%s); used with backend: cuda",
		g.Name, g.Capability, float64(g.Free)/gib, float64(g.Total)/gib, g.Driver, g.BLASVersion, g.BLAS)
}

// ollamaTimeout bounds the question to a server: it answers at once or is not there.
const ollamaTimeout = 3 * time.Second

// probeOllama asks the server that OLLAMA_HOST names, else looks for the program, which the
// ollama stage starts by itself.
func probeOllama(ctx context.Context) (bool, string) {
	if host := os.Getenv("OLLAMA_HOST"); host != "" {
		version, err := ollamaVersion(ctx, host)
		if err != nil {
			return false, fmt.Sprintf("no server at OLLAMA_HOST %s: %v; start one there with `ollama serve`, or unset OLLAMA_HOST to have one started", host, err)
		}
		return true, fmt.Sprintf("server %s at %s", version, host)
	}
	program, err := exec.LookPath("ollama")
	if err != nil {
		return false, "neither OLLAMA_HOST nor the program ollama on PATH: install it from https://ollama.com/download; without it the ollama stage cannot run"
	}
	ctx, cancel := context.WithTimeout(ctx, ollamaTimeout)
	defer cancel()
	said, err := exec.CommandContext(ctx, program, "--version").Output()
	if err != nil {
		return false, fmt.Sprintf("%s does not run: %v", program, err)
	}
	lines := strings.Split(strings.TrimSpace(string(said)), "\n") // a warning that no server runs comes first
	return true, fmt.Sprintf("%s (%s), started when it is needed", program, strings.TrimSpace(lines[len(lines)-1]))
}

func ollamaVersion(ctx context.Context, host string) (string, error) {
	base, err := ollamahost.Address(host)
	if err != nil {
		return "", err
	}
	ctx, cancel := context.WithTimeout(ctx, ollamaTimeout)
	defer cancel()
	request, err := http.NewRequestWithContext(ctx, http.MethodGet, base+"/api/version", nil)
	if err != nil {
		return "", err
	}
	answer, err := http.DefaultClient.Do(request)
	if err != nil {
		return "", err
	}
	defer discard(answer.Body)
	var body struct {
		Version string `json:"version"`
	}
	if answer.StatusCode != http.StatusOK {
		return "", fmt.Errorf("it answered %s", answer.Status)
	}
	if err := json.NewDecoder(answer.Body).Decode(&body); err != nil || body.Version == "" {
		return "", fmt.Errorf("what answers there is no Ollama")
	}
	return body.Version, nil
}
