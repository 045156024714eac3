package cpu

import "github.com/so8t/so8t/stages/internal/backend"

// grain is the least number of elements of cheap work worth a second thread.
const grain = 4096

func (m *machine[T]) Fill(dst backend.Buffer, v float64) {
	m.run("a fill", func() {
		d := data[T](dst)
		for i := range d {
			d[i] = T(v)
		}
	})
}

func (m *machine[T]) Axpby(dst backend.Buffer, alpha float64, x backend.Buffer, beta float64, y backend.Buffer) {
	m.run("a sum", func() {
		d, xv, yv := data[T](dst), data[T](x), data[T](y)
		m.axpby(d, T(alpha), xv, T(beta), yv)
	})
}

func (m *machine[T]) axpby(d []T, alpha T, x []T, beta T, y []T) {
	if len(x) != len(d) || (y != nil && len(y) != len(d)) {
		panic("sum of different lengths")
	}
	if beta == 0 {
		y = nil
	}
	m.split(len(d), 64, grain, func(i, j int) {
		var yp []T
		if y != nil {
			yp = y[i:j]
		}
		m.k.axpby(d[i:j], alpha, x[i:j], beta, yp)
	})
}

func (m *machine[T]) ScaleBy(dst, x, s backend.Buffer, beta float64) {
	m.run("a scaling", func() {
		d := data[T](dst)
		m.axpby(d, data[T](s)[0], data[T](x), T(beta), d)
	})
}

func (m *machine[T]) Copy2D(dst, src backend.Mat, rows, cols int) {
	m.run("a copy", func() {
		d, s := data[T](dst.Buf), data[T](src.Buf)
		for i := range rows {
			copy(d[dst.Off+i*dst.LD:][:cols], s[src.Off+i*src.LD:][:cols])
		}
	})
}

func (m *machine[T]) Dropout(dst, x backend.Buffer, cols int, pk backend.Packing, key uint64, p, beta float64) {
	m.run("dropout", func() {
		d, xv, l := data[T](dst), data[T](x), layout(pk)
		if len(d) != l.rows*cols || len(xv) != len(d) {
			panic("rows do not fit the packing")
		}
		d0, threshold, keep := dropRows[T]{d, xv, T(beta), cols}, backend.DropoutThreshold(p), T(1/(1-p))
		for _, r := range l.padding {
			d0.copy(r[0], r[1])
		}
		m.pool.run(len(l.segments), func(i int) {
			s := l.segments[i]
			from, to := s.Start*cols, (s.Start+s.Len)*cols
			m.k.dropout(d[from:to], xv[from:to], cols, key, s.ID, threshold, keep, T(beta))
		})
	})
}

type dropRows[T real] struct {
	d, x []T
	beta T
	cols int
}

// copy keeps padding rows as they are: nothing reads them.
func (r dropRows[T]) copy(from, to int) {
	for i := from * r.cols; i < to*r.cols; i++ {
		r.d[i] = r.x[i] + scaled(r.beta, r.d[i])
	}
}

// scaled is beta*v, and 0 for beta = 0 even when v is rubbish.
func scaled[T real](beta, v T) T {
	if beta == 0 {
		return 0
	}
	return beta * v
}

func (m *machine[T]) Embed(dst backend.Buffer, w backend.Weight, ids backend.Ints) {
	m.run("an embedding", func() {
		wv, d := asWeight[T](w), data[T](dst)
		for i, id := range ids.(*ints).data {
			wv.widen(d[i*wv.cols:(i+1)*wv.cols], int(id), int(id)+1)
		}
	})
}

func (m *machine[T]) EmbedBack(ge, g backend.Buffer, ids backend.Ints, cols int) {
	m.run("an embedding's gradient", func() {
		e, gv := data[T](ge), data[T](g)
		m.split(cols, 16, 32, func(from, to int) {
			for i, id := range ids.(*ints).data {
				row := e[int(id)*cols+from : int(id)*cols+to]
				for c, v := range gv[i*cols+from : i*cols+to] {
					row[c] += v
				}
			}
		})
	})
}
