package so8t

import (
	"fmt"
	"runtime"
	"sync"
)

// FoldRows multiplies consecutive rows of W by the gate that follows the layer, in
// place: W'[8n+j,:] = Σ_i R_n[i,j] W[8n+i,:], that is blockdiag(R)ᵀ·W. The rows of
// w are those of the blocks in r; a caller that streams passes chunks of whole
// blocks. w: [8·len(r), cols]. Sums run in float64.
func FoldRows(r []Matrix, w []float32, cols int) error {
	if cols <= 0 || len(w) != Block*len(r)*cols {
		return fmt.Errorf("folding gate: %d values for %d blocks of 8 rows with %d columns", len(w), len(r), cols)
	}
	var in [Block]float64
	for n := range r {
		rows := w[n*Block*cols:][:Block*cols]
		for c := range cols {
			for i := range Block {
				in[i] = float64(rows[i*cols+c])
			}
			for j := range Block {
				sum := 0.0
				for i := range Block {
					sum += r[n][i*Block+j] * in[i]
				}
				rows[j*cols+c] = float32(sum)
			}
		}
	}
	return nil
}

// MergeRows adds a LoRA adapter to rows [first, first+n) of a weight, in place:
// W + scale·B·A with f64 sums, one rounding at the end. w: [n, in] rows of W,
// a: [rank, in], b: [n, rank] the same rows of B.
func MergeRows(w, a, b []float32, in, rank int, scale float64) error {
	if in <= 0 || rank <= 0 || len(w)%in != 0 || len(a) != rank*in || len(b) != len(w)/in*rank {
		return fmt.Errorf("merging adapter: sizes W %d, A %d, B %d do not fit input %d, rank %d", len(w), len(a), len(b), in, rank)
	}
	rows := len(w) / in
	workers := min(runtime.GOMAXPROCS(0), max(1, rows*in*rank>>20)) // below a million products a goroutine costs more
	var wg sync.WaitGroup
	for i := range workers {
		lo, hi := rows*i/workers, rows*(i+1)/workers
		wg.Go(func() {
			delta := make([]float64, in)
			for row := lo; row < hi; row++ {
				clear(delta)
				product(delta, b[row*rank:][:rank], a)
				dst := w[row*in:][:in]
				for c, d := range delta {
					dst[c] = float32(float64(dst[c]) + scale*d)
				}
			}
		})
	}
	wg.Wait()
	return nil
}

// product adds b·A to delta, four ranks at a time to touch delta less. b: [rank],
// a: [rank, len(delta)]
func product(delta []float64, b, a []float32) {
	n := len(delta)
	k := 0
	for ; k+4 <= len(b); k += 4 {
		b0, b1, b2, b3 := float64(b[k]), float64(b[k+1]), float64(b[k+2]), float64(b[k+3])
		a0, a1, a2, a3 := a[k*n:][:n], a[(k+1)*n:][:n], a[(k+2)*n:][:n], a[(k+3)*n:][:n]
		for c := range delta {
			delta[c] += b0*float64(a0[c]) + b1*float64(a1[c]) + b2*float64(a2[c]) + b3*float64(a3[c])
		}
	}
	for ; k < len(b); k++ {
		f := float64(b[k])
		for c, v := range a[k*n:][:n] {
			delta[c] += f * float64(v)
		}
	}
}
