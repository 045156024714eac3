package cpu

import (
	"fmt"
	"math"

	"github.com/so8t/so8t/stages/internal/backend"
)

// weight is a [rows, cols] matrix; exactly one of the storages is set.
type weight[T real] struct {
	kind       backend.Kind
	rows, cols int
	full       []T
	bf16       []uint16
	int8       []int8
	scales     []float32 // of int8 rows
	nf4        []uint8   // of the whole matrix, also in a part of its rows
	nf4Scales  backend.NF4Scales
	first      int // row of the nf4 matrix that this one begins with
	blocks     blocks[T]
}

func (w *weight[T]) Kind() backend.Kind { return w.kind }
func (w *weight[T]) Rows() int          { return w.rows }
func (w *weight[T]) Cols() int          { return w.cols }

func (m *machine[T]) NewWeight(d backend.WeightData) backend.Weight {
	w := &weight[T]{kind: d.Kind, rows: d.Rows, cols: d.Cols, bf16: d.BF16, int8: d.Int8, scales: d.Scales, nf4: d.NF4, nf4Scales: d.NF4Scales}
	n := d.Rows * d.Cols
	if m.mem.dry {
		return w
	}
	if !complete(d) {
		m.Fail(fmt.Errorf("taking a %s weight: its numbers or scales are not those of %dx%d", d.Kind, d.Rows, d.Cols))
		return w
	}
	if d.Kind == backend.Float32 {
		if same, ok := any(d.F32).([]T); ok {
			w.full = same
		} else {
			w.full = make([]T, n)
			convert(w.full, d.F32)
		}
	}
	w.blocks = m.blocksOf(d)
	return w
}

// complete reports whether a matrix has all its numbers and scales.
func complete(d backend.WeightData) bool {
	n := d.Rows * d.Cols
	switch d.Kind {
	case backend.Float32:
		return len(d.F32) == n
	case backend.BFloat16:
		return len(d.BF16) == n
	case backend.Int8:
		return len(d.Int8) == n && len(d.Scales) == d.Rows
	case backend.Blocks:
		return d.Cols%d.Format.Elements == 0 && len(d.Raw) == d.Format.Size(n)
	case backend.NF4:
		blocks := backend.NF4Blocks(n)
		return len(d.NF4) == (n+1)/2 && len(d.NF4Scales.Codes) == blocks && len(d.NF4Scales.Groups) == (blocks+backend.NF4Group-1)/backend.NF4Group
	}
	return false
}

func (m *machine[T]) WeightOf(b backend.Buffer, rows, cols int) backend.Weight {
	return &weight[T]{kind: backend.Float32, rows: rows, cols: cols, full: data[T](b)}
}

func (m *machine[T]) WeightRows(v backend.Weight, from, to int) backend.Weight {
	w := *asWeight[T](v)
	w.rows = to - from
	if m.mem.dry {
		return &w
	}
	cut := func(n int) (int, int) { return from * n, to * n }
	i, j := cut(w.cols)
	if w.blocks.raw != nil {
		w.blocks.raw = w.blocks.raw[from*w.blocks.size : to*w.blocks.size]
	}
	switch w.kind {
	case backend.Float32:
		w.full = w.full[i:j]
	case backend.BFloat16:
		w.bf16 = w.bf16[i:j]
	case backend.Int8:
		w.int8, w.scales = w.int8[i:j], w.scales[from:to]
	case backend.NF4:
		w.first += from
	}
	return &w
}

func (m *machine[T]) ReleaseWeight(backend.Weight) {}

func asWeight[T real](v backend.Weight) *weight[T] {
	w, ok := v.(*weight[T])
	if !ok {
		panic("weight of another backend")
	}
	return w
}

// widen writes rows [from, to) as plain numbers.
func (w *weight[T]) widen(dst []T, from, to int) {
	n := w.cols
	if b := w.blocks; b.raw != nil {
		b.decode(dst[:(to-from)*n], b.raw[from*b.size:to*b.size])
		return
	}
	switch w.kind {
	case backend.Float32:
		copy(dst, w.full[from*n:to*n])
	case backend.BFloat16:
		for i, v := range w.bf16[from*n : to*n] {
			dst[i] = T(math.Float32frombits(uint32(v) << 16))
		}
	case backend.Int8:
		for r := from; r < to; r++ {
			s := T(w.scales[r])
			for i, v := range w.int8[r*n : (r+1)*n] {
				dst[(r-from)*n+i] = s * T(v)
			}
		}
	case backend.NF4:
		w.widenNF4(dst[:(to-from)*n], (w.first+from)*n)
	}
}

// widenNF4 writes numbers [at, at+len(dst)) of the whole matrix.
func (w *weight[T]) widenNF4(dst []T, at int) {
	var levels [16]T
	for i := 0; i < len(dst); {
		block := (at + i) / backend.NF4Block
		scale := T(w.nf4Scales.At(block))
		for c, l := range backend.NF4Levels {
			levels[c] = T(l) * scale
		}
		end := min(len(dst), (block+1)*backend.NF4Block-at)
		for ; i < end; i++ {
			code := w.nf4[(at+i)/2]
			if (at+i)%2 == 0 {
				code >>= 4
			}
			dst[i] = levels[code&15]
		}
	}
}
