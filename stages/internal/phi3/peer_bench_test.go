package phi3

import (
	"math"
	"slices"
	"strconv"
	"testing"
	"time"

	"github.com/so8t/so8t/stages/internal/backend/cpu"
	"github.com/so8t/so8t/stages/internal/pytorchtest"
)

// peerModel has the architecture of Phi-4-mini and 29 million parameters. Whole heads are turned: the pinned transformers ignores
// partial_rotary_factor.
var peerModel = Config{Hidden: 512, Layers: 8, Heads: 8, KVHeads: 4, HeadDim: 64, Intermediate: 1536, Vocab: 8192,
	MaxPositions: 1024, OriginalMaxPositions: 1024, RMSEps: 1e-5, RopeTheta: 10000, PartialRotary: 1, TiedEmbeddings: true, InitRange: 0.02,
	BOS: -1, Pad: -1, EOS: []int{0}}

const (
	peerPrompt  = 256
	peerDecoded = 64
	peerRounds  = 7
)

// BenchmarkInference runs prefill and greedy decoding of one sequence beside transformers, the same float32 weights and as many threads,
// in turns, and prints the best rate of each. The logits must be the same to rounding.
//
//	go test -run - -bench Inference -benchtime 1x -v ./stages/internal/phi3
func BenchmarkInference(b *testing.B) {
	python := pytorchtest.Python(b)
	w, err := NewWeights(&peerModel, 1)
	if err != nil {
		b.Fatal(err)
	}
	folder := b.TempDir()
	if err := w.WriteFolder(folder, "float32"); err != nil {
		b.Fatal(err)
	}
	for _, threads := range []int{1, 2} {
		b.Run(strconv.Itoa(threads)+" threads", func(b *testing.B) {
			for b.Loop() {
				raceTransformers(b, python, folder, w, threads)
			}
		})
	}
}

func raceTransformers(b *testing.B, python, folder string, w *Weights, threads int) {
	var ready struct{ Capability, Versions string }
	peer := pytorchtest.Start(b, python, "testdata/peer.py", &ready, folder, strconv.Itoa(threads), strconv.Itoa(peerPrompt), strconv.Itoa(peerDecoded))
	ours, theirs := inference{math.Inf(1), math.Inf(1)}, inference{math.Inf(1), math.Inf(1)}
	s := peerSession(b, w, threads)
	difference := 0.0
	for range peerRounds {
		i, logits := runInference(b, s)
		ours = ours.best(i)
		var answer struct {
			Prefill, Decode float64
			Logits          []float32
		}
		if err := peer.Ask("", &answer); err != nil {
			b.Fatal(err)
		}
		theirs = theirs.best(inference{answer.Prefill, answer.Decode})
		for k, v := range answer.Logits {
			difference = max(difference, math.Abs(float64(v-logits[k])))
		}
	}
	b.Logf("%s, %s; tokens/s, best of %d rounds in turns: prefill of %d %.0f, transformers %.0f (%.2f ×); decode of %d %.0f, transformers %.0f (%.2f ×); logits differ by %.1e",
		ready.Versions, ready.Capability, peerRounds, peerPrompt, peerPrompt/ours.prefill, peerPrompt/theirs.prefill, theirs.prefill/ours.prefill,
		peerDecoded, peerDecoded/ours.decode, peerDecoded/theirs.decode, theirs.decode/ours.decode, difference)
	b.ReportMetric(theirs.prefill/ours.prefill, "prefill/transformers")
	b.ReportMetric(theirs.decode/ours.decode, "decode/transformers")
	if difference > 1e-4 { // of logits near 1
		b.Errorf("the logits differ by %g", difference)
	}
}

// inference is the time of one prefill and of the decoding after it, seconds.
type inference struct{ prefill, decode float64 }

func (a inference) best(b inference) inference {
	return inference{min(a.prefill, b.prefill), min(a.decode, b.decode)}
}

func peerSession(b *testing.B, w *Weights, threads int) *Session {
	b.Helper()
	be, err := cpu.Open(cpu.Options{Threads: threads})
	if err != nil {
		b.Fatal(err)
	}
	b.Cleanup(func() { be.Close() })
	base, err := NewBase(be, w, peerPrompt+peerDecoded)
	if err != nil {
		b.Fatal(err)
	}
	r, err := NewRunner(base, nil)
	if err != nil {
		b.Fatal(err)
	}
	s, err := r.NewSession(peerPrompt + peerDecoded)
	if err != nil {
		b.Fatal(err)
	}
	return s
}

func runInference(b *testing.B, s *Session) (i inference, first []float32) {
	b.Helper()
	prompt := make([]int32, peerPrompt)
	for k := range prompt {
		prompt[k] = int32((k*31 + 7) % peerModel.Vocab)
	}
	s.Reset()
	start := time.Now()
	logits, err := s.Feed(prompt...)
	i.prefill = time.Since(start).Seconds()
	first = slices.Clone(logits)
	start = time.Now()
	for range peerDecoded {
		if err == nil {
			logits, err = s.Feed(Greedy(logits))
		}
	}
	i.decode = time.Since(start).Seconds()
	if err != nil {
		b.Fatal(err)
	}
	return i, first
}
