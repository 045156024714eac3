package ops_test

import (
	"fmt"
	"math"
	"math/rand/v2"
	"testing"

	"github.com/nlpodyssey/spago/ag"
	"github.com/nlpodyssey/spago/mat"

	"github.com/so8t/so8t/stages/internal/backend"
	"github.com/so8t/so8t/stages/internal/backend/cpu"
	"github.com/so8t/so8t/stages/internal/ops"
	"github.com/so8t/so8t/stages/internal/tensor"
)

// dims is a small Phi-3.
type dims struct {
	hidden, layers, heads, kv, dim, inter, vocab int
	rank                                         int // 0: all weights are trained; else LoRA and gates
	dropout                                      float64
	checkpoint                                   bool
	pet                                          float64
}

var (
	tiny       = dims{hidden: 16, layers: 2, heads: 2, kv: 1, dim: 8, inter: 12, vocab: 23}
	quickstart = dims{hidden: 128, layers: 4, heads: 4, kv: 2, dim: 32, inter: 256, vocab: 800}
)

// model is a transformer over the operators, for tests and benchmarks; the real one is stages/internal/phi3.
type model struct {
	dims
	be     backend.Backend
	params tensor.Params
	embed  ops.Matrix
	final  ops.Gain
	blocks []block
	rope   backend.RopeTable
}

type block struct {
	norm1, norm2         ops.Gain
	qkv, o, gateUp, down ops.Matrix
	lora                 [4]*ops.LoRA
	theta                *tensor.Param
	params               tensor.Params
}

func newModel(be backend.Backend, d dims) *model {
	m := &model{dims: d, be: be}
	rng := rand.New(rand.NewPCG(1, 2))
	random := func(n int, size float64) []float32 {
		v := make([]float32, n)
		for i := range v {
			v[i] = float32(rng.NormFloat64() * size)
		}
		return v
	}
	matrix := func(name string, out, in int) ops.Matrix {
		w := random(out*in, 1/math.Sqrt(float64(in)))
		if d.rank > 0 {
			return ops.Frozen(be.NewWeight(backend.WeightData{Kind: backend.Float32, Rows: out, Cols: in, F32: w}))
		}
		p := tensor.NewParam(be, name, out, in, w)
		m.params = append(m.params, p)
		return ops.Trained(p)
	}
	gain := func(name string) ops.Gain {
		g := random(d.hidden, 0.1)
		for i := range g {
			g[i]++
		}
		if d.rank > 0 {
			b := be.NewBuffer(d.hidden)
			be.Upload(b, g)
			return ops.FrozenGain(b)
		}
		p := tensor.NewParam(be, name, 1, d.hidden, g)
		m.params = append(m.params, p)
		return ops.TrainedGain(p)
	}
	m.embed = matrix("embed", d.vocab, d.hidden)
	for l := range d.layers {
		first := len(m.params)
		name := func(s string) string { return fmt.Sprintf("layers.%d.%s", l, s) }
		s := m.shape()
		b := block{norm1: gain(name("norm1")), qkv: matrix(name("qkv"), s.Width(), d.hidden), o: matrix(name("o"), d.hidden, d.heads*d.dim),
			norm2: gain(name("norm2")), gateUp: matrix(name("gate_up"), 2*d.inter, d.hidden), down: matrix(name("down"), d.hidden, d.inter)}
		if d.rank > 0 {
			for i, w := range []ops.Matrix{b.qkv, b.o, b.gateUp, b.down} {
				a := tensor.NewParam(be, name(fmt.Sprint("a", i)), d.rank, w.W.Cols(), random(d.rank*w.W.Cols(), 0.2))
				bb := tensor.NewParam(be, name(fmt.Sprint("b", i)), w.W.Rows(), d.rank, random(d.rank*w.W.Rows(), 0.2))
				b.lora[i] = &ops.LoRA{A: a, B: bb, Scale: 2, Dropout: d.dropout, Key: uint64(l*4 + i)}
				m.params = append(m.params, a, bb)
			}
			th := tensor.NewParam(be, name("theta"), d.hidden/8, 28, random(d.hidden/8*28, 0.1))
			b.theta = &th
			m.params = append(m.params, th)
		}
		b.params = append(b.params, m.params[first:]...)
		m.blocks = append(m.blocks, b)
	}
	m.final = gain("final")
	half := d.dim * 3 / 8
	cos, sin := be.NewBuffer(256*half), be.NewBuffer(256*half)
	c, s := make([]float64, 256*half), make([]float64, 256*half)
	for i := range c {
		a := float64(i/half) * math.Pow(1000, -float64(i%half)/float64(half))
		c[i], s[i] = math.Cos(a), math.Sin(a)
	}
	be.Upload64(cos, c)
	be.Upload64(sin, s)
	m.rope = backend.RopeTable{Cos: cos, Sin: sin, Rotary: 2 * half}
	return m
}

func (m *model) shape() backend.AttentionShape {
	return backend.AttentionShape{Heads: m.heads, KVHeads: m.kv, Dim: m.dim}
}

// batch is packed sequences; targets are the next tokens, -1 on the last row of each, and on the first half when there is LoRA.
type batch struct {
	ids, targets []int32
	pack         backend.PackingData
}

func newBatch(vocab int, answersOnly bool, lengths ...int) batch {
	rng := rand.New(rand.NewPCG(7, 7))
	var b batch
	for i, n := range lengths {
		b.pack.Segments = append(b.pack.Segments, backend.Segment{Start: len(b.ids), Len: n, ID: uint64(i)})
		for t := range n {
			b.ids = append(b.ids, int32(rng.IntN(vocab)))
			target := int32(rng.IntN(vocab))
			if t == n-1 || (answersOnly && t < n/2) {
				target = -1
			}
			b.targets = append(b.targets, target)
		}
	}
	b.pack.Rows = len(b.ids)
	return b
}

// loss builds the graph of one batch.
func (m *model) loss(sc backend.Scope, b batch) mat.Tensor {
	return m.scaledLoss(sc, b, len(b.ids))
}

func (m *model) scaledLoss(sc backend.Scope, b batch, rows int) mat.Tensor {
	pk := m.be.Pack(b.pack)
	x := ops.Embed(m.be, sc, sc.AllocInts(b.ids), m.embed)
	for _, bl := range m.blocks {
		f := func(x mat.Tensor) mat.Tensor { return m.block(x, bl, pk) }
		if m.checkpoint {
			x = ops.Checkpoint(f, x, m.hidden, bl.params)
		} else {
			x = f(x)
		}
	}
	h := ops.RMSNorm(x, m.final, 1e-5)
	ce := ops.HeadCE(h, m.embed, sc.AllocInts(b.targets), 1/float64(rows))
	if m.pet == 0 {
		return ce
	}
	return ops.Add(ce, ops.PET(h, pk, m.pet/float64(max(1, pk.Triples()))))
}

func (m *model) block(x mat.Tensor, b block, pk backend.Packing) mat.Tensor {
	a := ops.Linear(ops.RMSNorm(x, b.norm1, 1e-5), b.qkv, b.lora[0], pk)
	a = ops.Linear(ops.Attention(a, m.shape(), m.rope, pk), b.o, b.lora[1], pk)
	if b.theta != nil {
		a = ops.Gate(a, *b.theta)
	}
	x = ops.Add(x, a)
	f := ops.SwiGLU(ops.Linear(ops.RMSNorm(x, b.norm2, 1e-5), b.gateUp, b.lora[2], pk))
	return ops.Add(x, ops.Linear(f, b.down, b.lora[3], pk))
}

// step runs forward and backward and returns the loss; gradients stay in the parameters.
func (m *model) step(t testing.TB, sc backend.Scope, b batch) float64 {
	t.Helper()
	return m.finish(t, sc, m.loss(sc, b))
}

// stepScaled divides the cross-entropy by the rows of a whole window.
func (m *model) stepScaled(t testing.TB, b batch, rows int) float64 {
	t.Helper()
	sc := m.be.NewScope()
	return m.finish(t, sc, m.scaledLoss(sc, b, rows))
}

func backward(l mat.Tensor) error { return ag.Backward(l) }

func (m *model) finish(t testing.TB, sc backend.Scope, l mat.Tensor) float64 {
	t.Helper()
	if err := ag.Backward(l); err != nil {
		t.Fatal(err)
	}
	v := l.Item().F64()
	sc.End()
	if err := m.be.Err(); err != nil {
		t.Fatal(err)
	}
	return v
}

func (m *model) gradients(t testing.TB) map[string][]float64 {
	t.Helper()
	out := map[string][]float64{}
	for _, p := range m.params {
		if !p.HasGrad() {
			t.Fatalf("%s has no gradient", p.Name)
		}
		g := make([]float64, p.Tensor().Size())
		m.be.Download64(g, p.GradBuffer())
		out[p.Name] = g
	}
	return out
}

func openCPU(t testing.TB, o cpu.Options) backend.Backend {
	t.Helper()
	be, err := cpu.Open(o)
	if err != nil {
		t.Skip(err)
	}
	t.Cleanup(func() { be.Close() })
	return be
}
