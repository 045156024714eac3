package phi3

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"runtime"
	"slices"
	"sync"

	"github.com/so8t/so8t/stages/internal/backend"
	"github.com/so8t/so8t/stages/internal/so8t"
)

// lockstepBytes bounds the weights that Lockstep holds of each source.
const lockstepBytes = 16 << 20

// Side is one of the models that run in lockstep: weights, and an adapter applied beside them,
// or nil.
type Side struct {
	Source  Source
	Adapter *so8t.Adapter
}

// Lockstep runs models of one configuration over the same sequences, all of them one chunk of rows
// after the other, so that of a model of any size a chunk is in memory. Sides that share a source,
// or a tensor that an adapter leaves alone, share its chunks. Sources must be comparable.
type Lockstep struct {
	Backend backend.Backend
	Config  *Config
	Sides   []Side
	// Layer, when not nil, is told how many layers are done.
	Layer func(done int)
	// From is the first position of each sequence whose logits are wanted.
	From int

	chunkBytes int // 0: lockstepBytes
}

// Run calls use with the logits [Σ(T-From), n] of every side for the vocabulary's entries first …
// first+n-1, in order; it must not keep them.
func (o Lockstep) Run(ctx context.Context, seqs [][]int32, use func(first, n int, logits [][]float32) error) error {
	be, c := o.Backend, o.Config
	tokens, packing, err := concat(seqs)
	if err != nil {
		return err
	}
	if err := checkTokens(c, tokens); err != nil {
		return err
	}
	longest := 0
	for _, s := range seqs {
		longest = max(longest, len(s))
	}
	if err := c.CheckLength(longest); err != nil {
		return fmt.Errorf("running models in lockstep: %w", err)
	}
	l := &lockstep{ctx: ctx, be: be, Config: c, sides: o.Sides, sc: be.NewScope(), rows: len(tokens), chunkBytes: cmp.Or(o.chunkBytes, lockstepBytes), buffers: map[Source][]float32{}}
	defer l.sc.End()
	r := newRope(be, c, longest)
	defer r.release(be)
	pk, err := r.pack(be, c, packing)
	if err != nil {
		return err
	}
	l.rope, l.packing = r.table, pk
	l.alloc()
	if err := l.embed(tokens); err != nil {
		return err
	}
	for i := range c.Layers {
		if err := l.layer(i); err != nil {
			return fmt.Errorf("layer %d: %w", i, err)
		}
		if o.Layer != nil {
			o.Layer(i + 1)
		}
	}
	rows, err := l.keep(seqs, o.From)
	if err != nil {
		return err
	}
	return l.head(rows, use)
}

// LockstepBytes is about what Run takes for sequences of so many tokens together, beside sources
// and adapters.
func (c *Config) LockstepBytes(sides, tokens int) int64 {
	const float = 4
	rows := int64(2*c.Hidden + c.QKVOut() + c.AttnOut() + 3*c.Intermediate)
	return float*rows*int64(sides)*int64(tokens) + int64(sides+1)*lockstepBytes
}

// lockstep is the state of one run.
type lockstep struct {
	*Config
	ctx   context.Context
	be    backend.Backend
	sides []Side
	sc    backend.Scope
	rows  int // ΣT

	chunkBytes int
	rope       backend.RopeTable
	packing    backend.Packing

	buffers       map[Source][]float32 // the chunk of each source
	inv, lse      backend.Buffer
	x, h, qkv, a  []backend.Buffer // one a side: residual, normed, projected, attended
	gateUp, swish []backend.Buffer
}

func (l *lockstep) alloc() {
	each := func(width int) (list []backend.Buffer) {
		for range l.sides {
			list = append(list, l.sc.Alloc(l.rows*width))
		}
		return list
	}
	l.inv, l.lse = l.sc.Alloc(l.rows), l.sc.Alloc(l.rows*l.Heads)
	l.x, l.h, l.qkv, l.a = each(l.Hidden), each(l.Hidden), each(l.QKVOut()), each(l.AttnOut())
	l.gateUp, l.swish = each(2*l.Intermediate), each(l.Intermediate)
}

// embed reads the rows of the tokens alone: the whole table is a third of a small model.
func (l *lockstep) embed(tokens []int32) error {
	host := make([]float32, l.rows*l.Hidden)
	for i, side := range l.sides {
		for t, id := range tokens {
			if err := side.Source.ReadFloats(embedName, int(id)*l.Hidden, host[t*l.Hidden:][:l.Hidden]); err != nil {
				return err
			}
		}
		l.be.Upload(l.x[i], host)
		l.be.Sync()
	}
	return l.be.Err()
}

func (l *lockstep) layer(i int) error {
	if err := l.ctx.Err(); err != nil {
		return err
	}
	if err := l.norm(inputNormName(i)); err != nil {
		return err
	}
	if err := l.linear(l.qkv, l.h, i, QKV); err != nil {
		return err
	}
	for k := range l.sides {
		l.be.Rope(l.qkv[k], l.qkv[k], l.attention(), l.rope, l.packing, false)
		l.be.Attention(l.a[k], l.lse, l.qkv[k], l.attention(), l.packing)
	}
	if err := l.linear(l.h, l.a, i, O); err != nil {
		return err
	}
	for k, side := range l.sides {
		if side.Adapter != nil {
			if theta := side.Adapter.Gates.Find(i); theta != nil {
				gate := newRotation(l.be, theta)
				l.be.Rotate(l.h[k], l.h[k], gate, l.rows, l.Hidden/so8t.Block, false)
				l.be.Sync()
				l.be.Release(gate)
			}
		}
		l.be.Axpby(l.x[k], 1, l.h[k], 1, l.x[k])
	}
	if err := l.norm(postNormName(i)); err != nil {
		return err
	}
	if err := l.linear(l.gateUp, l.h, i, GateUp); err != nil {
		return err
	}
	for k := range l.sides {
		l.be.SwiGLU(l.swish[k], l.gateUp[k], l.rows, l.Intermediate)
	}
	if err := l.linear(l.h, l.swish, i, Down); err != nil {
		return err
	}
	for k := range l.sides {
		l.be.Axpby(l.x[k], 1, l.h[k], 1, l.x[k])
	}
	return l.be.Err()
}

// norm is h = RMSNorm(x) with each side's gains.
func (l *lockstep) norm(name string) error {
	host := make([]float32, l.Hidden)
	gain := l.sc.Alloc(l.Hidden)
	defer l.sc.Free(gain)
	for k, side := range l.sides {
		if err := side.Source.ReadFloats(name, 0, host); err != nil {
			return err
		}
		l.be.Upload(gain, host)
		l.be.RMSNorm(l.h[k], l.inv, l.x[k], gain, l.rows, l.Hidden, l.RMSEps)
		l.be.Sync()
	}
	return l.be.Err()
}

// linear is y = x·Wᵀ of one projection, with the adapters beside it.
func (l *lockstep) linear(y, x []backend.Buffer, layer int, module string) error {
	out, in := l.ModuleShape(module)
	err := l.chunks(moduleName(layer, module), out, in, func(first, n int, weights []backend.Weight) error {
		part := l.sc.Alloc(l.rows * n)
		defer l.sc.Free(part)
		for k, w := range weights {
			l.be.Linear(part, x[k], w, l.rows, 0)
			l.be.Copy2D(backend.Mat{Buf: y[k], Off: first, LD: out}, backend.Mat{Buf: part, LD: n}, l.rows, n)
		}
		return nil
	})
	if err != nil {
		return err
	}
	for k, side := range l.sides {
		if side.Adapter == nil {
			continue
		}
		if m := side.Adapter.LoRA.Find(ModulePath(layer, module)); m != nil {
			l.beside(y[k], x[k], side.Adapter.LoRA, m)
		}
	}
	return l.be.Err()
}

// beside is y += scale·(x·Aᵀ)·Bᵀ. The adapter's numbers are used where they lie: copies would come
// to hundreds of megabytes of garbage.
func (l *lockstep) beside(y, x backend.Buffer, lora *so8t.LoRA, m *so8t.Module) {
	a := l.be.NewWeight(backend.WeightData{Rows: lora.Rank, Cols: m.In, F32: m.A})
	b := l.be.NewWeight(backend.WeightData{Rows: m.Out, Cols: lora.Rank, F32: m.B})
	mid := l.sc.Alloc(l.rows * lora.Rank)
	l.be.Linear(mid, x, a, l.rows, 0)
	l.be.Axpby(mid, lora.Scale(), mid, 0, nil)
	l.be.Linear(y, mid, b, l.rows, 1)
	l.be.Sync()
	l.sc.Free(mid)
	l.be.ReleaseWeight(a)
	l.be.ReleaseWeight(b)
}

// keep moves the normed states whose logits are wanted to the front and returns their number.
func (l *lockstep) keep(seqs [][]int32, from int) (int, error) {
	if err := l.norm(normName); err != nil {
		return 0, err
	}
	if from <= 0 {
		return l.rows, nil
	}
	rows := 0
	for k := range l.sides { // x is done with
		start := 0
		rows = 0
		for _, s := range seqs {
			if n := len(s) - from; n > 0 {
				l.be.Copy2D(backend.Mat{Buf: l.x[k], Off: rows * l.Hidden, LD: l.Hidden}, backend.Mat{Buf: l.h[k], Off: (start + from) * l.Hidden, LD: l.Hidden}, n, l.Hidden)
				rows += n
			}
			start += len(s)
		}
	}
	l.x, l.h = l.h, l.x
	return rows, l.be.Err()
}

// head hands out the logits of so many normed states.
func (l *lockstep) head(rows int, use func(first, n int, logits [][]float32) error) error {
	name := headName
	if l.TiedEmbeddings {
		name = embedName
	}
	host := make([][]float32, len(l.sides))
	return l.chunks(name, l.Vocab, l.Hidden, func(first, n int, weights []backend.Weight) error {
		part := l.sc.Alloc(rows * n)
		defer l.sc.Free(part)
		for k, w := range weights {
			host[k] = slices.Grow(host[k][:0], rows*n)[:rows*n]
			l.be.Linear(part, l.h[k], w, rows, 0)
			l.be.Download(host[k], part)
		}
		if err := l.be.Err(); err != nil {
			return err
		}
		return use(first, n, host)
	})
}

// chunks reads a matrix a few whole blocks of rows at a time, and calls use with each side's.
func (l *lockstep) chunks(name string, rows, cols int, use func(first, n int, weights []backend.Weight) error) error {
	step := min(max(so8t.Block, l.chunkBytes/4/cols/so8t.Block*so8t.Block), rows)
	for first := 0; first < rows; first += step {
		if err := l.ctx.Err(); err != nil {
			return err
		}
		n := min(step, rows-first)
		read := map[Source]backend.Weight{}
		weights := make([]backend.Weight, len(l.sides))
		for k, side := range l.sides {
			source := untouched(side.Source, name)
			if read[source] == nil {
				w, err := l.read(source, name, first, n, cols)
				if err != nil {
					return err
				}
				read[source] = w
			}
			weights[k] = read[source]
		}
		err := use(first, n, weights)
		l.be.Sync() // before the chunks' memory is used again
		for _, w := range read {
			l.be.ReleaseWeight(w)
		}
		if err != nil {
			return err
		}
	}
	return l.be.Err()
}

// untouched is where a tensor comes from that a merge only passes on.
func untouched(s Source, name string) Source {
	for {
		m, ok := s.(*Merged)
		if !ok || m.Touches(name) {
			return s
		}
		s = m.Base
	}
}

// read fills a source's chunk on all processors.
func (l *lockstep) read(s Source, name string, first, n, cols int) (backend.Weight, error) {
	if l.buffers[s] == nil {
		l.buffers[s] = make([]float32, l.chunkBytes/4)
	}
	buffer := slices.Grow(l.buffers[s][:0], n*cols)[:n*cols] // a block may be larger than a chunk
	l.buffers[s] = buffer
	blocks := (n + so8t.Block - 1) / so8t.Block
	errs := make([]error, min(blocks, runtime.GOMAXPROCS(0)))
	var workers sync.WaitGroup
	for i := range errs {
		from, to := min(n, blocks*i/len(errs)*so8t.Block), min(n, blocks*(i+1)/len(errs)*so8t.Block)
		workers.Go(func() { errs[i] = s.ReadFloats(name, (first+from)*cols, buffer[from*cols:to*cols]) })
	}
	workers.Wait()
	if err := errors.Join(errs...); err != nil {
		return nil, err
	}
	return l.be.NewWeight(backend.WeightData{Kind: backend.Float32, Rows: n, Cols: cols, F32: buffer}), nil
}
