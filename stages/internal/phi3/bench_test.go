package phi3

import (
	"context"
	"testing"

	"github.com/nlpodyssey/spago/ag"

	"github.com/so8t/so8t/stages/internal/backend"
	"github.com/so8t/so8t/stages/internal/backend/cpu"
	"github.com/so8t/so8t/stages/internal/so8t"
)

// quickstart is the size of workflows/quickstart.yaml's model.
var quickstart = Config{Hidden: 128, Layers: 4, Heads: 4, KVHeads: 2, HeadDim: 32, Intermediate: 256, Vocab: 800,
	MaxPositions: 512, OriginalMaxPositions: 512, RMSEps: 1e-5, RopeTheta: 10000, PartialRotary: 0.75, TiedEmbeddings: true, InitRange: 0.02}

func benchRunner(b *testing.B, maxLen int) *Runner {
	b.Helper()
	be, err := cpu.Open(cpu.Options{})
	if err != nil {
		b.Fatal(err)
	}
	b.Cleanup(func() { be.Close() })
	w, err := NewWeights(&quickstart, 1)
	if err != nil {
		b.Fatal(err)
	}
	base, err := NewBase(be, w, maxLen)
	if err != nil {
		b.Fatal(err)
	}
	r, err := NewRunner(base, nil)
	if err != nil {
		b.Fatal(err)
	}
	return r
}

// One operation scores 100 questions of 60 tokens with three labels.
func BenchmarkScore(b *testing.B) {
	r := benchRunner(b, 128)
	var questions []Question
	for i := range 100 {
		q := Question{Prompt: make([]int32, 60), Continuations: [][]int32{{5, 6, 7, 8}, {5, 9, 10, 11, 8}, {5, 12, 8}}}
		for k := range q.Prompt {
			q.Prompt[k] = int32((i*31 + k*7) % 800)
		}
		questions = append(questions, q)
	}
	for b.Loop() {
		if _, err := r.Score(questions, nil); err != nil {
			b.Fatal(err)
		}
	}
	b.ReportMetric(float64(100*b.N)/b.Elapsed().Seconds(), "questions/s")
}

func BenchmarkDecode(b *testing.B) {
	r := benchRunner(b, 512)
	s, err := r.NewSession(512)
	if err != nil {
		b.Fatal(err)
	}
	for b.Loop() {
		if s.Len() == 512 {
			s.Reset()
		}
		if _, err := s.Feed(int32(s.Len() % 800)); err != nil {
			b.Fatal(err)
		}
	}
}

// One operation continues 64 prompts of 60 tokens by 32.
func BenchmarkGenerate(b *testing.B) {
	r := benchRunner(b, 128)
	prompts := make([][]int32, 64)
	for i := range prompts {
		for k := range 60 {
			prompts[i] = append(prompts[i], int32((i*31+k*7)%800))
		}
	}
	g := Generation{MaxNew: 32}
	b.Run("one by one", func(b *testing.B) {
		for b.Loop() {
			for _, p := range prompts {
				if _, _, err := r.Generate(context.Background(), p, g); err != nil {
					b.Fatal(err)
				}
			}
		}
	})
	b.Run("many", func(b *testing.B) {
		for b.Loop() {
			if _, _, err := r.GenerateMany(context.Background(), prompts, g, nil); err != nil {
				b.Fatal(err)
			}
		}
	})
}

func BenchmarkTrainStep(b *testing.B) {
	be, err := cpu.Open(cpu.Options{})
	if err != nil {
		b.Fatal(err)
	}
	defer be.Close()
	w, err := NewWeights(&quickstart, 1)
	if err != nil {
		b.Fatal(err)
	}
	m, err := NewBaseModel(be, w, TrainOptions{MaxLen: 64})
	if err != nil {
		b.Fatal(err)
	}
	var list []identified
	for range 16 {
		list = append(list, sequence(64))
	}
	batch := join(list...)
	for i, id := range batch.Tokens {
		batch.Tokens[i] = id % 800
		batch.Targets[i] = batch.Tokens[i]
	}
	sc := be.NewScope()
	for b.Loop() {
		benchStep(b, m, sc, batch)
	}
	b.ReportMetric(float64(len(batch.Tokens)*b.N)/b.Elapsed().Seconds(), "tokens/s")
}

func benchStep(b *testing.B, m *Model, sc backend.Scope, batch Batch) {
	b.Helper()
	defer sc.End()
	ce, pet, err := m.Losses(sc, batch, Pass{CEScale: 1e-3, PETScale: 1e-5, Train: true})
	if err == nil {
		err = ag.Backward(ce, pet)
	}
	if err != nil {
		b.Fatal(err)
	}
	m.BaseParams().ZeroGrad()
}

// One operation merges a rank-64 adapter into one of Phi-4-mini's o_proj weights.
func BenchmarkMerge(b *testing.B) {
	const n, rank = 3072, 64
	be, err := cpu.Open(cpu.Options{})
	if err != nil {
		b.Fatal(err)
	}
	defer be.Close()
	l := &so8t.Module{In: n, Out: n, A: make([]float32, rank*n), B: make([]float32, rank*n)}
	for i := range l.A {
		l.A[i], l.B[i] = float32(i%7), float32(i%5)
	}
	rows := make([]float32, n*n)
	b.Run("float64", func(b *testing.B) {
		for b.Loop() {
			if err := so8t.MergeRows(rows, l.A, l.B, n, rank, 2); err != nil {
				b.Fatal(err)
			}
		}
	})
	b.Run("backend", func(b *testing.B) {
		f := &rowMerger{be: be}
		defer f.release()
		for b.Loop() {
			if err := f.add(rows, l, l.B, rank, 2); err != nil {
				b.Fatal(err)
			}
		}
	})
}
