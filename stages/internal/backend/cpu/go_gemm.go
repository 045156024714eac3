package cpu

// The Go product packs B into panels of goPanel columns and A into strips of goStrip rows, blocks of goDepth at a time, and keeps a
// goStrip x goPanel tile of C in registers.
const (
	goStrip = 4
	goPanel = 4
	goDepth = 256
)

func goGemm[T real](m, n, k int, alpha T, a, b matrix[T], beta T, c []T, ldc int) {
	for i := range m {
		goScale(c[i*ldc:i*ldc+n], beta)
	}
	if k == 0 || alpha == 0 {
		return
	}
	depth := min(k, goDepth)
	panels := make([]T, (n+goPanel-1)/goPanel*goPanel*depth)
	strip := make([]T, goStrip*depth)
	for from := 0; from < k; from += depth {
		d := min(depth, k-from)
		pack(panels, b.at(from, 0).transposed(), n, d, goPanel)
		for i := 0; i < m; i += goStrip {
			pack(strip, a.at(i, from), min(goStrip, m-i), d, goStrip)
			for j := 0; j < n; j += goPanel {
				tile := goTile(strip[:goStrip*d], panels[j*d:(j+goPanel)*d])
				for r := range min(goStrip, m-i) {
					row := c[(i+r)*ldc+j:]
					for s := range min(goPanel, n-j) {
						row[s] += alpha * tile[r*goPanel+s]
					}
				}
			}
		}
	}
}

func (a matrix[T]) transposed() matrix[T] { return matrix[T]{a.data, a.cs, a.rs} }

// pack writes n rows of a, width at a time, depth-major inside a strip, filled up with zeros.
func pack[T real](dst []T, a matrix[T], n, depth, width int) {
	for i := 0; i < n; i += width {
		for r := range width {
			out := dst[i*depth+r:]
			if i+r >= n {
				for p := range depth {
					out[p*width] = 0
				}
				continue
			}
			at := (i + r) * a.rs
			for p := range depth {
				out[p*width] = a.data[at]
				at += a.cs
			}
		}
	}
}

func goTile[T real](a, b []T) [goStrip * goPanel]T {
	var c00, c01, c02, c03, c10, c11, c12, c13, c20, c21, c22, c23, c30, c31, c32, c33 T
	for len(a) >= 4 && len(b) >= 4 {
		x, y := a[:4:4], b[:4:4]
		b0, b1, b2, b3 := y[0], y[1], y[2], y[3]
		v := x[0]
		c00 += v * b0
		c01 += v * b1
		c02 += v * b2
		c03 += v * b3
		v = x[1]
		c10 += v * b0
		c11 += v * b1
		c12 += v * b2
		c13 += v * b3
		v = x[2]
		c20 += v * b0
		c21 += v * b1
		c22 += v * b2
		c23 += v * b3
		v = x[3]
		c30 += v * b0
		c31 += v * b1
		c32 += v * b2
		c33 += v * b3
		a, b = a[4:], b[4:]
	}
	return [16]T{c00, c01, c02, c03, c10, c11, c12, c13, c20, c21, c22, c23, c30, c31, c32, c33}
}
