package so8t

import (
	"fmt"
	"runtime"
	"sync"
)

// MergeRows adds a LoRA adapter to rows [first, first+n) of a weight, in place:
// W + scale·B·A with f64 sums, one rounding at the end. w: [n, in] rows of W,
// a: [rank, in], b: [n, rank] the same rows of B. A sum takes four ranks together, then adds
// them to what it has, in the order of the ranks; the bits are the same on every machine.
func MergeRows(w, a, b []float32, in, rank int, scale float64) error {
	if in <= 0 || rank <= 0 || len(w)%in != 0 || len(a) != rank*in || len(b) != len(w)/in*rank {
		return fmt.Errorf("merging adapter: sizes W %d, A %d, B %d do not fit input %d, rank %d", len(w), len(a), len(b), in, rank)
	}
	m := merging{w: w, a: a, b: make([]float64, len(b)), in: in, rank: rank, scale: scale}
	for i, v := range b {
		m.b[i] = float64(v)
	}
	strips := (in + stripColumns - 1) / stripColumns
	workers := min(runtime.GOMAXPROCS(0), max(1, len(w)*rank>>22)) // below some million products a goroutine costs more
	var wg sync.WaitGroup
	for i := range workers {
		from, to := strips*i/workers, strips*(i+1)/workers
		wg.Go(func() {
			packed := make([]float64, rank*stripColumns)
			for strip := from; strip < to; strip++ {
				m.strip(strip*stripColumns, packed)
			}
		})
	}
	wg.Wait()
	return nil
}

// stripColumns are taken at a time: a line of the cache of W, and of A what the nearest cache
// holds.
const stripColumns = 16

// merging is one MergeRows. b is B.
type merging struct {
	w, a     []float32
	b        []float64
	in, rank int
	scale    float64
}

// strip merges the columns from first on. packed takes those of A: [rank, stripColumns].
func (m merging) strip(first int, packed []float64) {
	n := min(stripColumns, m.in-first)
	for k := range m.rank {
		to := packed[k*stripColumns:][:stripColumns]
		clear(to)
		for c, v := range m.a[k*m.in+first:][:n] {
			to[c] = float64(v)
		}
	}
	done := 0
	if n == stripColumns {
		done = m.fast(first, packed)
	}
	for row := done; row < len(m.w)/m.in; row++ {
		mergeRow(m.w[row*m.in+first:][:n], packed, m.b[row*m.rank:][:m.rank], m.scale)
	}
}

// mergeRow is one row of a strip.
func mergeRow(dst []float32, packed, b []float64, scale float64) {
	var sums [stripColumns]float64
	k := 0
	for ; k+4 <= len(b); k += 4 {
		b0, b1, b2, b3 := b[k], b[k+1], b[k+2], b[k+3]
		for c := range sums {
			at := k*stripColumns + c
			sums[c] += float64(float64(float64(b0*packed[at])+float64(b1*packed[at+stripColumns]))+float64(b2*packed[at+2*stripColumns])) + float64(b3*packed[at+3*stripColumns])
		}
	}
	for ; k < len(b); k++ {
		for c := range sums {
			sums[c] += float64(b[k] * packed[k*stripColumns+c])
		}
	}
	for c, v := range dst {
		dst[c] = float32(float64(v) + float64(scale*sums[c]))
	}
}
