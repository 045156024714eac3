package modelfile

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os/exec"
	"strconv"
	"testing"
	"time"

	"github.com/so8t/so8t/stages/internal/backend/cpu"
	"github.com/so8t/so8t/stages/internal/phi3"
)

const (
	inferencePrompt  = 256
	inferenceDecoded = 64
	inferenceRounds  = 5
)

// BenchmarkInference runs prefill and decoding of a model of 29 million weights from its GGUF file, beside llama-bench on the same file with
// as many threads, in turns, and prints the best rate of each. llama.cpp rounds activations to 8 bits for quantised types, which is faster; this
// package computes with the numbers that the file holds.
//
//	go test -run - -bench Inference -benchtime 1x -v ./stages/internal/modelfile
func BenchmarkInference(b *testing.B) {
	program := llamaProgram("llama-bench")
	if program == "" {
		b.Skip("llama.cpp is not installed: put llama-bench on PATH or its folder into SO8T_TEST_LLAMACPP")
	}
	for _, mix := range []string{"F16", "BF16", "Q8_0", "Q6_K", "Q5_K_M", "Q4_K_M"} {
		path := inferenceModel(b).file(b, mix)
		for _, threads := range []int{1, 2} {
			b.Run(fmt.Sprintf("%s/%d threads", mix, threads), func(b *testing.B) {
				for b.Loop() {
					raceLlama(b, program, path, threads)
				}
			})
		}
	}
}

// inferenceModel has the architecture of Phi-4-mini.
func inferenceModel(t testing.TB) Export {
	e := shaped(t, 512, 1536, 8, true)
	c := e.Config
	c.HeadDim, c.Heads, c.KVHeads, c.Vocab = 64, 8, 4, 8192
	c.MaxPositions, c.OriginalMaxPositions, c.Rope = 1024, 1024, nil
	return e
}

func raceLlama(b *testing.B, program, path string, threads int) {
	s := inferenceSession(b, path, threads)
	var ours, theirs rates
	for range inferenceRounds {
		ours = ours.best(run(b, s))
		theirs = theirs.best(llamaBench(b, program, path, threads))
	}
	b.Logf("tokens/s, best of %d rounds in turns: prefill of %d %.0f, llama.cpp %.0f (%.2f ×); decode of %d %.0f, llama.cpp %.0f (%.2f ×)", inferenceRounds,
		inferencePrompt, ours.prefill, theirs.prefill, ours.prefill/theirs.prefill, inferenceDecoded, ours.decode, theirs.decode, ours.decode/theirs.decode)
	b.ReportMetric(ours.prefill/theirs.prefill, "prefill/llama.cpp")
	b.ReportMetric(ours.decode/theirs.decode, "decode/llama.cpp")
}

// rates are tokens a second.
type rates struct{ prefill, decode float64 }

func (a rates) best(b rates) rates { return rates{max(a.prefill, b.prefill), max(a.decode, b.decode)} }

func inferenceSession(b *testing.B, path string, threads int) *phi3.Session {
	b.Helper()
	m, err := Open(path)
	if err != nil {
		b.Fatal(err)
	}
	b.Cleanup(func() { m.Close() })
	be, err := cpu.Open(cpu.Options{Threads: threads})
	if err != nil {
		b.Fatal(err)
	}
	b.Cleanup(func() { be.Close() })
	w, err := phi3.Load(m.Config, m.Source, phi3.StoreNative)
	if err != nil {
		b.Fatal(err)
	}
	base, err := phi3.NewBase(be, w, inferencePrompt)
	if err != nil {
		b.Fatal(err)
	}
	r, err := phi3.NewRunner(base, nil)
	if err != nil {
		b.Fatal(err)
	}
	s, err := r.NewSession(inferencePrompt)
	if err != nil {
		b.Fatal(err)
	}
	return s
}

// run prefills a prompt, and decodes from an empty sequence as llama-bench does.
func run(b *testing.B, s *phi3.Session) rates {
	b.Helper()
	prompt := make([]int32, inferencePrompt)
	for i := range prompt {
		prompt[i] = int32(i*31%8000 + 7)
	}
	s.Reset()
	start := time.Now()
	_, err := s.Feed(prompt...)
	prefill := time.Since(start).Seconds()
	s.Reset()
	start = time.Now()
	for i := range inferenceDecoded {
		if err == nil {
			_, err = s.Feed(prompt[i])
		}
	}
	if err != nil {
		b.Fatal(err)
	}
	return rates{inferencePrompt / prefill, inferenceDecoded / time.Since(start).Seconds()}
}

// llamaBench is the best of three repetitions of each.
func llamaBench(b *testing.B, program, path string, threads int) rates {
	b.Helper()
	out, err := exec.Command(program, "-m", path, "-t", strconv.Itoa(threads), "-p", strconv.Itoa(inferencePrompt), "-n", strconv.Itoa(inferenceDecoded), "-r", "3", "-o", "jsonl").Output()
	if err != nil {
		b.Fatal(err)
	}
	var r rates
	for lines := json.NewDecoder(bytes.NewReader(out)); ; {
		var line struct {
			Prompt    int       `json:"n_prompt"`
			Generated int       `json:"n_gen"`
			Samples   []float64 `json:"samples_ts"`
		}
		if err := lines.Decode(&line); errors.Is(err, io.EOF) {
			return r
		} else if err != nil {
			b.Fatal(err)
		}
		for _, v := range line.Samples {
			if line.Prompt > 0 {
				r.prefill = max(r.prefill, v)
			} else {
				r.decode = max(r.decode, v)
			}
		}
	}
}
