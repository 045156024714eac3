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
		keep := T(1 / (1 - p))
		threshold := uint32(p * (1 << 32))
		for _, r := range l.padding {
			part := d[r[0]*cols : r[1]*cols]
			for i, v := range xv[r[0]*cols : r[1]*cols] {
				part[i] = v + scaled(T(beta), part[i])
			}
		}
		m.pool.run(len(l.segments), func(i int) {
			s := l.segments[i]
			for t := range s.Len {
				row := mix(mix(key^s.ID*0x9e3779b97f4a7c15) ^ uint64(t))
				at := (s.Start + t) * cols
				dropRow(d[at:at+cols], xv[at:at+cols], row, threshold, keep, T(beta))
			}
		})
	})
}

func dropRow[T real](d, x []T, row uint64, threshold uint32, keep, beta T) {
	for c := range x {
		var v T
		if uint32(mix(row+uint64(c)*0x9e3779b97f4a7c15)>>32) >= threshold {
			v = x[c] * keep
		}
		d[c] = v + scaled(beta, d[c])
	}
}

// scaled is beta*v, and 0 for beta = 0 even when v is rubbish.
func scaled[T real](beta, v T) T {
	if beta == 0 {
		return 0
	}
	return beta * v
}

// mix is the finaliser of splitmix64.
func mix(z uint64) uint64 {
	z = (z ^ z>>30) * 0xbf58476d1ce4e5b9
	z = (z ^ z>>27) * 0x94d049bb133111eb
	return z ^ z>>31
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
