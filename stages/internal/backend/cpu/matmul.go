package cpu

import "github.com/so8t/so8t/stages/internal/backend"

// smallProduct is the number of multiplications below which a product stays on one thread.
const smallProduct = 1 << 16

// widenRows bounds the rows of a stored weight that are widened at a time, so that the scratch stays small beside the weight.
const widenRows = 1024

func (m *machine[T]) Gemm(ta, tb bool, rows, cols, k int, alpha float64, a, b backend.Mat, beta float64, c backend.Mat) {
	m.run("a matrix product", func() {
		av := operand(data[T](a.Buf)[a.Off:], a.LD, ta)
		bv := operand(data[T](b.Buf)[b.Off:], b.LD, tb)
		m.product(rows, cols, k, T(alpha), av, bv, T(beta), data[T](c.Buf)[c.Off:], c.LD)
	})
}

func operand[T real](d []T, ld int, transposed bool) matrix[T] {
	if transposed {
		return matrix[T]{d, 1, ld}
	}
	return matrix[T]{d, ld, 1}
}

func (m *machine[T]) Linear(y, x backend.Buffer, w backend.Weight, rows int, beta float64) {
	m.dryBlock(asWeight[T](w), rows)
	m.run("a linear layer", func() {
		m.linear(data[T](y), data[T](x), asWeight[T](w), rows, T(beta))
	})
}

func (m *machine[T]) linear(y, x []T, w *weight[T], rows int, beta T) {
	if m.fewStored(y, x, w, rows, beta) {
		return
	}
	if m.packs(w, rows) {
		m.productStored(rows, w.rows, w.cols, operand(x, w.cols, false), part[T]{weight: w, transposed: true}, beta, y, w.rows)
		return
	}
	m.eachBlock(w, func(block []T, from, to int) {
		m.product(rows, to-from, w.cols, 1, operand(x, w.cols, false), operand(block, w.cols, true), beta, y[from:], w.rows)
	})
}

func (m *machine[T]) LinearBack(gx, gy backend.Buffer, w backend.Weight, rows int, beta float64) {
	m.dryBlock(asWeight[T](w), rows)
	m.run("a linear layer's input gradient", func() {
		m.linearBack(data[T](gx), data[T](gy), asWeight[T](w), rows, T(beta))
	})
}

func (m *machine[T]) linearBack(gx, gy []T, w *weight[T], rows int, beta T) {
	if m.packs(w, rows) {
		m.productStored(rows, w.cols, w.rows, operand(gy, w.rows, false), part[T]{weight: w}, beta, gx, w.cols)
		return
	}
	m.eachBlock(w, func(block []T, from, to int) {
		m.product(rows, w.cols, to-from, 1, operand(gy[from:], w.rows, false), operand(block, w.cols, false), beta, gx, w.cols)
		beta = 1
	})
}

// eachBlock hands out the weight as plain numbers: whole when it is stored so, else in blocks of rows.
func (m *machine[T]) eachBlock(w *weight[T], f func(block []T, from, to int)) {
	if w.kind == backend.Float32 {
		f(w.full, 0, w.rows)
		return
	}
	tmp := m.takeBlock(w)
	defer m.mem.give(tmp)
	for from := 0; from < w.rows; from += widenRows {
		to := min(w.rows, from+widenRows)
		m.split(to-from, 1, 16, func(i, j int) { w.widen(tmp.data[i*w.cols:j*w.cols], from+i, from+j) })
		f(tmp.data, from, to)
	}
}

// packs reports whether products read the weight as it is stored and widen it while they pack it. Few rows do not pack.
func (m *machine[T]) packs(w *weight[T], rows int) bool {
	return m.k.gemmStored != nil && rows > m.k.few && (w.kind == backend.BFloat16 || w.kind == backend.Int8)
}

// takeBlock is the scratch that rows of a stored weight are widened in.
func (m *machine[T]) takeBlock(w *weight[T]) *buffer[T] {
	return m.mem.take(min(w.rows, widenRows) * w.cols)
}

// product is one matrix product, split over columns or rows of C. Which one cannot change the bits: every element is one sum over k in
// blocks of a fixed size.
func (m *machine[T]) product(rows, cols, k int, alpha T, a, b matrix[T], beta T, c []T, ldc int) {
	if rows == 0 || cols == 0 {
		return
	}
	checkProduct(rows, cols, k, a, b, c, ldc)
	if rows <= m.k.few && a.cs == 1 && b.rs == 1 {
		m.split(cols, 4, smallProduct/(rows*max(k, 1)), func(from, to int) {
			m.k.fewRows(rows, to-from, k, alpha, a, b.at(0, from), beta, c[from:], ldc)
		})
		return
	}
	m.splitProduct(rows, cols, k, a, func(i, j, from, to int) {
		m.k.gemm(j-i, to-from, k, alpha, a.at(i, 0), b.at(0, from), beta, c[i*ldc+from:], ldc)
	})
}

// productStored is a product with a weight that is widened while it is packed.
func (m *machine[T]) productStored(rows, cols, k int, a matrix[T], w part[T], beta T, c []T, ldc int) {
	if rows == 0 || cols == 0 {
		return
	}
	_, _ = a.data[(rows-1)*a.rs+k-1], c[(rows-1)*ldc+cols-1] // the kernels in C do not look
	m.splitProduct(rows, cols, k, a, func(i, j, from, to int) {
		p := w
		if p.transposed {
			p.row = from
		} else {
			p.col = from
		}
		m.k.gemmStored(j-i, to-from, k, a.at(i, 0), p, beta, c[i*ldc+from:], ldc)
	})
}

// splitProduct cuts C into one part a thread, rows [i, j) and columns [from, to).
func (m *machine[T]) splitProduct(rows, cols, k int, a matrix[T], f func(i, j, from, to int)) {
	switch {
	case rows*cols*k < smallProduct || m.pool.threads == 1:
		f(0, rows, 0, cols)
	case m.byColumns(rows, cols, a):
		m.split(cols, m.k.panel, 0, func(from, to int) { f(0, rows, from, to) })
	default:
		m.split(rows, 1, 0, func(i, j int) { f(i, j, 0, cols) })
	}
}

// byColumns decides how to split. By columns every thread reads all of A, by rows every thread packs all of B; and panels of columns
// must come out even.
func (m *machine[T]) byColumns(rows, cols int, a matrix[T]) bool {
	t := m.pool.threads
	panels := (cols + m.k.panel - 1) / m.k.panel
	share := (panels + t - 1) / t * m.k.panel
	if panels < t || share*t > cols+cols/8 {
		return false
	}
	return rows <= 4*cols || a.cs == 1
}

// checkProduct panics when an operand is too short: the kernels in C do not look.
func checkProduct[T real](rows, cols, k int, a, b matrix[T], c []T, ldc int) {
	if k > 0 {
		_ = a.data[(rows-1)*a.rs+(k-1)*a.cs]
		_ = b.data[(k-1)*b.rs+(cols-1)*b.cs]
	}
	_ = c[(rows-1)*ldc+cols-1]
	if ldc < cols {
		panic("rows of the result overlap")
	}
}
