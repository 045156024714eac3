package so8t

import "fmt"

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
