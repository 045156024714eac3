package phi3

import (
	"errors"
	"fmt"
	"runtime"
	"sync"
	"sync/atomic"

	"github.com/so8t/so8t/stages/internal/backend"
	"github.com/so8t/so8t/stages/internal/safetensors"
)

// Storage is how the frozen linear weights are kept in memory.
type Storage string

const (
	// StoreNative keeps a tensor as the file has it, without a copy, where the backend can use that: f32, bf16, and
	// the blocks of a GGUF file. Anything else becomes f32. Numbers of blocks are used exactly as they decode.
	StoreNative Storage = "native"
	StoreF32    Storage = "f32"
	StoreBF16   Storage = "bf16"
	// StoreInt8 quantises the four projections row-wise; the rest stays native.
	StoreInt8 Storage = "int8"
	// StoreNF4 quantises them to 4 bits with doubly quantised scales.
	StoreNF4 Storage = "nf4"
)

// Storages lists the choices.
var Storages = []Storage{StoreNative, StoreF32, StoreBF16, StoreInt8, StoreNF4}

// Weights is a model on the host. Matrices may alias the source: keep it open.
type Weights struct {
	Config *Config
	Embed  backend.WeightData // [V, C]
	Layers []LayerWeights
	Norm   []float32          // [C]
	Head   backend.WeightData // [V, C]; the same memory as Embed when tied
}

// LayerWeights is one decoder layer.
type LayerWeights struct {
	InputNorm []float32          // [C]
	QKV       backend.WeightData // [(H+2K)·D, C]: Q rows, K rows, V rows
	O         backend.WeightData // [C, H·D]
	PostNorm  []float32          // [C]
	GateUp    backend.WeightData // [2I, C]: gate rows, up rows
	Down      backend.WeightData // [C, I]
}

// Module returns a projection by name.
func (l *LayerWeights) Module(name string) *backend.WeightData {
	switch name {
	case QKV:
		return &l.QKV
	case O:
		return &l.O
	case GateUp:
		return &l.GateUp
	case Down:
		return &l.Down
	}
	panic("phi3: no module " + name)
}

// Load reads a model. The source has been checked (CheckTensors).
func Load(c *Config, s Source, store Storage) (*Weights, error) {
	w := &Weights{Config: c, Layers: make([]LayerWeights, c.Layers)}
	plain := store
	if store == StoreInt8 || store == StoreNF4 {
		plain = StoreNative
	}
	for _, t := range c.Tensors() {
		var err error
		switch t.Role {
		case RoleEmbedding:
			w.Embed, err = loadMatrix(s, t, plain)
		case RoleHead:
			w.Head, err = loadMatrix(s, t, plain)
		case RoleNorm:
			err = w.loadNorm(s, t)
		case RoleLinear:
			err = w.loadLinear(s, t, store)
		}
		if err != nil {
			return nil, fmt.Errorf("loading model: %w", err)
		}
	}
	if c.TiedEmbeddings {
		w.Head = w.Embed
	}
	return w, nil
}

func (w *Weights) loadNorm(s Source, t Tensor) error {
	gain := make([]float32, t.Len())
	if err := s.ReadFloats(t.Name, 0, gain); err != nil {
		return err
	}
	switch t.Name {
	case normName:
		w.Norm = gain
	case inputNormName(t.Layer):
		w.Layers[t.Layer].InputNorm = gain
	default:
		w.Layers[t.Layer].PostNorm = gain
	}
	return nil
}

func (w *Weights) loadLinear(s Source, t Tensor, store Storage) error {
	for _, module := range Modules {
		if t.Name == moduleName(t.Layer, module) {
			m, err := loadMatrix(s, t, store)
			*w.Layers[t.Layer].Module(module) = m
			return err
		}
	}
	return fmt.Errorf("tensor %q has no place in the model", t.Name)
}

func loadMatrix(s Source, t Tensor, store Storage) (backend.WeightData, error) {
	d := backend.WeightData{Kind: backend.Float32, Rows: t.Shape[0], Cols: t.Shape[1]}
	if v, ok := s.(viewer); ok && (store == StoreNative || store == StoreF32 || store == StoreBF16) {
		dtype, raw, ok := v.View(t.Name)
		switch {
		case ok && dtype == "F32" && store != StoreBF16:
			d.F32 = viewF32(raw)
		case ok && dtype == "BF16" && store != StoreF32:
			d.Kind, d.BF16 = backend.BFloat16, viewBF16(raw)
		}
		if d.F32 != nil || d.BF16 != nil {
			return d, nil
		}
	}
	if v, ok := s.(blocksViewer); ok && store == StoreNative {
		if format, raw, ok := v.ViewBlocks(t.Name); ok {
			d.Kind, d.Format, d.Raw = backend.Blocks, format, raw
			return d, nil
		}
	}
	switch store {
	case StoreInt8:
		return loadInt8(s, t)
	case StoreNF4:
		return loadNF4(s, t)
	case StoreBF16:
		return loadBF16(s, t)
	}
	d.Kind, d.F32 = backend.Float32, make([]float32, t.Len())
	return d, eachRow(s, t, func(r int, row []float32) { copy(d.F32[r*d.Cols:], row) })
}

// loadBF16 rounds to nearest, ties to even.
func loadBF16(s Source, t Tensor) (backend.WeightData, error) {
	d := backend.WeightData{Kind: backend.BFloat16, Rows: t.Shape[0], Cols: t.Shape[1], BF16: make([]uint16, t.Len())}
	return d, eachRow(s, t, func(r int, row []float32) {
		for c, v := range row {
			d.BF16[r*d.Cols+c] = safetensors.FloatToBrain(v)
		}
	})
}

// rowChunk is about how many elements are read at once, in multiples of chunkRows rows:
// whole blocks of a gate, which Merged reads best, and of NF4.
const (
	rowChunk  = 1 << 16
	chunkRows = backend.NF4Block // a multiple of so8t.Block
)

// eachRow reads a matrix on all processors and calls use for every row, from several
// goroutines.
func eachRow(s Source, t Tensor, use func(r int, row []float32)) error {
	cols := t.Shape[1]
	return eachChunk(s, t, func(r int, rows []float32) {
		for i := range len(rows) / cols {
			use(r+i, rows[i*cols:][:cols])
		}
	})
}

// eachChunk reads a matrix on all processors and calls use with some rows at a time, from
// several goroutines; r is the first row, a multiple of chunkRows.
func eachChunk(s Source, t Tensor, use func(r int, rows []float32)) error {
	rows, cols := t.Shape[0], t.Shape[1]
	step := max(1, rowChunk/cols/chunkRows) * chunkRows
	var next atomic.Int64
	errs := make([]error, min(runtime.GOMAXPROCS(0), (rows+step-1)/step))
	var workers sync.WaitGroup
	for i := range errs {
		workers.Go(func() {
			buf := make([]float32, min(step, rows)*cols)
			for errs[i] == nil {
				lo := int(next.Add(1)-1) * step
				if lo >= rows {
					return
				}
				n := min(step, rows-lo)
				if errs[i] = s.ReadFloats(t.Name, lo*cols, buf[:n*cols]); errs[i] == nil {
					use(lo, buf[:n*cols])
				}
			}
		})
	}
	workers.Wait()
	return errors.Join(errs...)
}
