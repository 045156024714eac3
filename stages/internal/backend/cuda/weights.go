package cuda

import (
	"fmt"

	driver "github.com/so8t/so8t/cuda"
	"github.com/so8t/so8t/stages/internal/backend"
)

// weight is rows [first, first+rows) of a matrix on the card.
type weight struct {
	kind       backend.Kind
	rows, cols int
	first      int
	at, scales driver.Pointer
	own        []span  // what NewWeight took
	of         *buffer // a trainable matrix
}

func (w *weight) Kind() backend.Kind { return w.kind }
func (w *weight) Rows() int          { return w.rows }
func (w *weight) Cols() int          { return w.cols }

// place is where the numbers begin; it panics where there was no memory.
func (w *weight) place() driver.Pointer {
	if w.of != nil {
		return at(w.of, (w.first+w.rows)*w.cols)
	}
	if w.at == 0 {
		panic("a weight that there was no memory for is used")
	}
	return w.at
}

func (c *card) NewWeight(d backend.WeightData) backend.Weight {
	w := &weight{kind: d.Kind, rows: d.Rows, cols: d.Cols}
	n := d.Rows * d.Cols
	switch d.Kind {
	case backend.Float32:
		w.at = hold(c, w, d.F32, n)
	case backend.BFloat16:
		w.at = hold(c, w, d.BF16, n)
	case backend.Int8:
		w.at, w.scales = hold(c, w, d.Int8, n), hold(c, w, d.Scales, d.Rows)
	case backend.NF4:
		w.at, w.scales = hold(c, w, d.NF4, (n+1)/2), hold(c, w, c.nf4Scales(d), backend.NF4Blocks(n))
	case backend.Blocks: // the card's kernels do not read blocks
		w.kind = backend.Float32
		w.at = hold(c, w, decoded(c, d), n)
	default:
		c.Fail(fmt.Errorf("taking a weight of unknown kind %d", d.Kind))
	}
	return w
}

// decoded is a weight in blocks as plain numbers.
func decoded(c *card, d backend.WeightData) []float32 {
	n := d.Rows * d.Cols
	if c.dev == nil || d.Cols%d.Format.Elements != 0 || len(d.Raw) != d.Format.Size(n) {
		return nil // hold counts them, or says that they are missing
	}
	numbers := make([]float32, n)
	d.Format.Decode(numbers, d.Raw)
	return numbers
}

// nf4Scales are the scales as plain numbers: half a bit a number more than as they are stored, for one kernel without tables.
func (c *card) nf4Scales(d backend.WeightData) []float32 {
	n := backend.NF4Blocks(d.Rows * d.Cols)
	s := d.NF4Scales
	if c.dev == nil || len(s.Codes) != n || len(s.Groups) != (n+backend.NF4Group-1)/backend.NF4Group {
		return nil // hold counts them, or says that they are missing
	}
	scales := make([]float32, n)
	for i := range scales {
		scales[i] = s.At(i)
	}
	return scales
}

// hold takes memory for n numbers and copies them to the card.
func hold[T int32 | uint64 | float32 | uint16 | int8 | uint8](c *card, w *weight, src []T, n int) driver.Pointer {
	if c.Err() != nil {
		return 0
	}
	if len(src) != n && c.dev != nil {
		c.Fail(fmt.Errorf("taking a %s weight: its numbers or scales are not those of %dx%d", w.kind, w.rows, w.cols))
		return 0
	}
	if c.dev == nil {
		return 1 // a plan counts weights by their shapes; any place will do
	}
	s, err := c.mem.take(int64(n) * sizeOf[T]())
	if err != nil {
		c.Fail(fmt.Errorf("taking a %s weight of %dx%d: %w", w.kind, w.rows, w.cols, err))
		return 0
	}
	w.own = append(w.own, s)
	upload(c, s.at, src)
	return s.at
}

func sizeOf[T int32 | uint64 | float32 | uint16 | int8 | uint8]() int64 {
	var v T
	switch any(v).(type) {
	case int8, uint8:
		return 1
	case uint16:
		return 2
	case uint64:
		return 8
	}
	return 4
}

func (c *card) WeightOf(b backend.Buffer, rows, cols int) backend.Weight {
	return &weight{kind: backend.Float32, rows: rows, cols: cols, of: own(b)}
}

func (c *card) WeightRows(v backend.Weight, from, to int) backend.Weight {
	w := *asWeight(v)
	if from < 0 || to < from || to > w.rows {
		panic("rows that the weight does not have")
	}
	w.first += from
	w.rows = to - from
	w.own = nil // belongs to v
	return &w
}

func (c *card) ReleaseWeight(v backend.Weight) {
	w := asWeight(v)
	for _, s := range w.own {
		c.mem.give(s)
	}
	w.own, w.at, w.scales = nil, 0, 0
}

func asWeight(v backend.Weight) *weight {
	w, ok := v.(*weight)
	if !ok {
		panic("weight of another backend")
	}
	return w
}

func (c *card) Embed(dst backend.Buffer, v backend.Weight, ids backend.Ints) {
	c.run("an embedding", func() {
		w, i := asWeight(v), ids.(*ints)
		for _, id := range i.host {
			if id < 0 || int(id) >= w.rows {
				panic(fmt.Sprintf("there is no row %d", id))
			}
		}
		n := len(i.host) * w.cols
		c.launch("embed", each(n), at(dst, n), int(w.kind), w.place(), w.scales, w.first, i.own.at, len(i.host), w.cols)
	})
}

func (c *card) EmbedBack(ge, g backend.Buffer, ids backend.Ints, cols int) {
	c.run("an embedding's gradient", func() {
		i := ids.(*ints)
		for _, id := range i.host {
			if id < 0 || (int(id)+1)*cols > ge.Len() {
				panic(fmt.Sprintf("there is no row %d", id))
			}
		}
		n := len(i.host)
		c.launch("embed_back", each(cols), at(ge, ge.Len()), at(g, n*cols), i.own.at, n, cols)
	})
}
