package cpu

import (
	"encoding/binary"
	"unsafe"

	"github.com/so8t/so8t/stages/internal/backend"
)

// blocks are the rows of a weight in a block format, as they lie in memory, and how they are read.
type blocks[T real] struct {
	raw  []byte
	size int // bytes of a row
	blockReader[T]
}

// blockReader reads one format.
type blockReader[T real] struct {
	decode func(dst []T, src []byte)
	// fewRows, when set, is C = A Bᵀ + beta C for at most few rows of A and rows of B that are size bytes each. The sums are those of the
	// kernels' fewRows on the same numbers, so that both have the same bits.
	fewRows func(m, n, k int, a []T, b []byte, size int, beta T, c []T, ldc int)
}

// goReader is for every format.
func goReader[T real](f backend.BlockFormat) blockReader[T] {
	return blockReader[T]{decode: func(dst []T, src []byte) {
		if same, ok := any(dst).([]float32); ok {
			f.Decode(same, src)
			return
		}
		plain := make([]float32, len(dst))
		f.Decode(plain, src)
		convert(dst, plain)
	}}
}

// blocksOf is the zero value for what is not stored in blocks. The halves of float32 numbers are blocks of one too where kernels read them.
func (m *machine[T]) blocksOf(d backend.WeightData) blocks[T] {
	switch {
	case d.Kind == backend.Blocks:
		return blocks[T]{d.Raw, d.Format.Size(d.Cols), m.k.reader(d.Format)}
	case d.Kind == backend.BFloat16 && len(d.BF16) > 0 && littleEndian():
		if r := m.k.reader(backend.BlockFormat{Name: "BF16", Elements: 1, Bytes: 2}); r.fewRows != nil {
			return blocks[T]{unsafe.Slice((*byte)(unsafe.Pointer(&d.BF16[0])), 2*len(d.BF16)), 2 * d.Cols, r}
		}
	}
	return blocks[T]{}
}

func littleEndian() bool { return binary.NativeEndian.Uint16([]byte{1, 0}) == 1 }

// fewStored is linear for a few rows of x and a stored weight: each weight is read once, from where it lies. It reports whether it can.
func (m *machine[T]) fewStored(y, x []T, w *weight[T], rows int, beta T) bool {
	b := w.blocks
	if b.fewRows == nil || rows > m.k.few || rows == 0 {
		return false
	}
	_, _, _ = x[rows*w.cols-1], y[rows*w.rows-1], b.raw[w.rows*b.size-1] // the kernels in C do not look
	m.split(w.rows, 4, smallProduct/(rows*w.cols), func(from, to int) {
		b.fewRows(rows, to-from, w.cols, x, b.raw[from*b.size:], b.size, beta, y[from:], w.rows)
	})
	return true
}
