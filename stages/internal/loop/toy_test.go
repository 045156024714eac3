package loop

import (
	"fmt"
	"math"
	"os"
	"path/filepath"
	"testing"
	"time"

	"github.com/nlpodyssey/spago/mat"

	"github.com/so8t/so8t/stages/internal/backend"
	"github.com/so8t/so8t/stages/internal/backend/cpu"
	"github.com/so8t/so8t/stages/internal/ops"
	"github.com/so8t/so8t/stages/internal/so8t"
	"github.com/so8t/so8t/stages/internal/tensor"
)

// toy is the smallest model that has everything the loop cares about: a frozen weight with
// LoRA, a gate, packed segments, both losses, dropout.
type toy struct {
	be      backend.Backend
	embed   backend.Weight
	mid     backend.Weight
	a, b    tensor.Param
	theta   tensor.Param
	dropout float64
	groups  []Group
}

const toyVocab, toyWidth, toyRank = 23, 16, 2

// toyFloats are numbers in (-scale, scale) from a hash.
func toyFloats(seed uint64, n int, scale float64) []float32 {
	out := make([]float32, n)
	for i := range out {
		out[i] = float32(scale * (2*float64(Mix(seed, uint64(i))>>11)/(1<<53) - 1))
	}
	return out
}

func newToy(t *testing.T, dropout float64) *toy {
	t.Helper()
	m, err := makeToy(dropout)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = m.be.Close() })
	return m
}

func makeToy(dropout float64) (*toy, error) {
	be, err := cpu.Open(cpu.Options{Threads: 2, BLAS: "none"})
	if err != nil {
		return nil, err
	}
	return toyOn(be, dropout)
}

func toyOn(be backend.Backend, dropout float64) (*toy, error) {
	m := &toy{be: be, dropout: dropout}
	m.embed = be.NewWeight(backend.WeightData{Kind: backend.Float32, Rows: toyVocab, Cols: toyWidth, F32: toyFloats(1, toyVocab*toyWidth, 1)})
	m.mid = be.NewWeight(backend.WeightData{Kind: backend.Float32, Rows: toyWidth, Cols: toyWidth, F32: toyFloats(2, toyWidth*toyWidth, 0.4)})
	m.a = tensor.NewParam(be, "a", toyRank, toyWidth, toyFloats(3, toyRank*toyWidth, 0.3))
	m.b = tensor.NewParam(be, "b", toyWidth, toyRank, nil)
	m.theta = tensor.NewParam(be, "theta", toyWidth/8, 28, nil)
	m.groups = []Group{
		{Name: "lora", Params: tensor.Params{m.a, m.b}, LRScale: 1, Decay: 0.01, Clip: "lora"},
		{Name: "gate", Params: tensor.Params{m.theta}, LRScale: 10, Clip: ClipGate},
	}
	return m, be.Err()
}

func (m *toy) Groups() []Group { return m.groups }

func (m *toy) Losses(sc backend.Scope, p Pass) (ce, pet mat.Tensor, err error) {
	ids, targets := sc.AllocInts(p.Batch.Tokens), sc.AllocInts(p.Batch.Targets)
	pk := m.be.Pack(p.Batch.Packing)
	lora := &ops.LoRA{A: m.a, B: m.b, Scale: 2}
	if p.Train {
		lora.Dropout, lora.Key = m.dropout, Mix(9, uint64(p.Step))
	}
	x := ops.Embed(m.be, sc, ids, ops.Frozen(m.embed))
	h := ops.Add(x, ops.Gate(ops.Linear(x, ops.Frozen(m.mid), lora, pk), m.theta))
	ce = ops.HeadCE(h, ops.Frozen(m.embed), targets, p.CEScale)
	if p.PETScale > 0 {
		pet = ops.PET(h, pk, p.PETScale)
	}
	return ce, pet, nil
}

// values are all parameters, one after the other.
func (m *toy) values() []float32 {
	var out []float32
	for _, g := range m.groups {
		for _, p := range g.Params {
			h := make([]float32, p.Tensor().Size())
			m.be.Download(h, p.Tensor().Buffer())
			out = append(out, h...)
		}
	}
	return out
}

// toyRows are rows of 3 to 12 tokens with a regularity to learn: a token is followed by
// its successor most of the time. Only the second half of a row counts.
func toyRows(seed uint64, n int) []Row {
	rows := make([]Row, n)
	for i := range rows {
		size := 3 + int(Mix(seed, uint64(i))%10)
		r := Row{Tokens: make([]int32, size), Learn: make([]bool, size)}
		r.Tokens[0] = int32(Mix(seed+1, uint64(i)) % toyVocab)
		for t := 1; t < size; t++ {
			r.Tokens[t] = (r.Tokens[t-1] + 1) % toyVocab
			if h := Mix(seed+2, uint64(100*i+t)); h%8 == 0 {
				r.Tokens[t] = int32(h >> 32 % toyVocab)
			}
			r.Learn[t] = t >= size/2
		}
		rows[i] = r
	}
	return rows
}

func toySettings(steps int64) Settings {
	return Settings{
		Seed: 5, Size: Size{Rows: 3}, Accumulation: 2,
		Schedule:  Schedule{Kind: "cosine", Peak: 2e-2, Warmup: 3, Steps: steps},
		AdamW:     DefaultAdamW,
		PET:       so8t.Schedule{Boundaries: [2]float64{0.3, 0.7}, Weights: [3]float64{0.01, 0.05, 0.1}},
		EvalEvery: 4, KeepBest: true,
	}
}

// toyRun is a run in a folder of its own.
func toyRun(t *testing.T, m Model, be backend.Backend, steps int64) *Run {
	t.Helper()
	dir := t.TempDir()
	return &Run{
		Backend: be, Model: m, Train: toyRows(11, 20), Validation: toyRows(12, 7), Settings: toySettings(steps),
		Facts: Facts{"backend": "test"}, Curve: filepath.Join(dir, curveFile), Metrics: filepath.Join(dir, metricsFile),
	}
}

// saver publishes checkpoints as plain folders.
func saver(t *testing.T, into string) func(int64, func(string) error) error {
	return func(step int64, write func(string) error) error {
		dir := filepath.Join(into, fmt.Sprint(step))
		if err := os.MkdirAll(dir, 0o755); err != nil {
			t.Fatal(err)
		}
		return write(dir)
	}
}

// ticking is a clock that goes on by a second at each look.
func ticking() func() time.Time {
	at := time.Unix(0, 0)
	return func() time.Time { at = at.Add(time.Second); return at }
}

func mustRead(t *testing.T, path string) string {
	t.Helper()
	b, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	return string(b)
}

func sameBits(a, b []float32) bool {
	if len(a) != len(b) {
		return false
	}
	for i := range a {
		if math.Float32bits(a[i]) != math.Float32bits(b[i]) {
			return false
		}
	}
	return true
}
