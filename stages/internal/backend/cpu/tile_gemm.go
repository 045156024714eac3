package cpu

import "sync"

// Blocks of the product around tile6x16, for builds without cgo.
const (
	tileRows  = 6
	tileCols  = 16
	tileDepth = 256
)

var tileScratch = sync.Pool{New: func() any { return new([]float32) }}

// useTile puts the product in Go assembly, and attention on top of it, into the table. It reports whether the processor can.
func useTile(k *kernels[float32]) bool {
	if !haveTile() {
		return false
	}
	k.gemm, k.panel = tileGemm, tileCols
	blocks := blockAttention[float32]{gemm: tileGemm}
	k.attend, k.attendBack = blocks.attend, blocks.attendBack
	return true
}

func tileGemm(m, n, k int, alpha float32, a, b matrix[float32], beta float32, c []float32, ldc int) {
	if k == 0 {
		for i := range m {
			goScale(c[i*ldc:i*ldc+n], beta)
		}
		return
	}
	depth := min(k, tileDepth)
	width := (n + tileCols - 1) / tileCols * tileCols
	scratch := tileScratch.Get().(*[]float32)
	defer tileScratch.Put(scratch)
	if need := (width + tileRows) * depth; cap(*scratch) < need {
		*scratch = make([]float32, need)
	}
	panels := (*scratch)[:width*depth]
	strip := (*scratch)[width*depth : (width+tileRows)*depth]
	var tile [tileRows * tileCols]float32
	for from := 0; from < k; from += depth {
		d := min(depth, k-from)
		pack(panels, b.at(from, 0).transposed(), n, d, tileCols)
		for i := 0; i < m; i += tileRows {
			rows := min(tileRows, m-i)
			pack(strip, a.at(i, from), rows, d, tileRows)
			for j := 0; j < n; j += tileCols {
				tile6x16(d, &strip[0], &panels[j*d], &tile)
				for r := range rows {
					addTile(c[(i+r)*ldc+j:(i+r)*ldc+min(n, j+tileCols)], tile[r*tileCols:(r+1)*tileCols], alpha, beta)
				}
			}
		}
		beta = 1
	}
}

// addTile is c = alpha t + beta c.
func addTile(c, t []float32, alpha, beta float32) {
	t = t[:len(c)]
	if beta == 0 {
		for i, v := range t {
			c[i] = alpha * v
		}
		return
	}
	for i, v := range t {
		c[i] = beta*c[i] + alpha*v
	}
}

func goScale[T real](c []T, beta T) {
	for i := range c {
		c[i] = scaled(beta, c[i])
	}
}
