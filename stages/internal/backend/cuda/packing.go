package cuda

import (
	"fmt"
	"runtime"

	driver "github.com/so8t/so8t/cuda"
	"github.com/so8t/so8t/stages/internal/backend"
)

// packing is a batch's layout on the card.
type packing struct {
	rows      int
	segments  []backend.Segment
	triples   int
	padded    bool // some rows are in no segment
	tiles     int
	lastPlace int32 // the largest position
	owner     *card

	// On the card: the position and segment of each row (-1: padding); first row, length and ID of each segment; attention's tiles.
	positions, segmentOf, starts, lengths, ids, tileList driver.Pointer
}

func (p *packing) Rows() int                   { return p.rows }
func (p *packing) Segments() []backend.Segment { return p.segments }
func (p *packing) Triples() int                { return p.triples }

func layout(v backend.Packing) *packing {
	p, ok := v.(*packing)
	if !ok {
		panic("packing of another backend")
	}
	return p
}

func (c *card) Pack(d backend.PackingData) backend.Packing {
	p := &packing{rows: d.Rows, segments: d.Segments, triples: d.Triples(), owner: c}
	h := hostLayout(d, c.tileRows())
	if h.err != nil {
		c.Fail(fmt.Errorf("packing a batch: %w", h.err))
		return &packing{rows: d.Rows, owner: c}
	}
	p.padded, p.tiles, p.lastPlace = h.padded, len(h.tiles)/3, h.lastPlace
	// One piece of memory for all tables; 8-byte numbers first.
	n := 2*len(h.ids) + len(h.positions) + len(h.segmentOf) + len(h.starts) + len(h.lengths) + len(h.tiles)
	b := c.take(max(1, n))
	if b.at == 0 {
		return p
	}
	runtime.AddCleanup(p, func(s span) { c.mem.give(s) }, b.own)
	next := b.at
	upload(c, next, h.ids)
	p.ids = next
	next += driver.Pointer(8 * len(h.ids))
	put := func(v []int32) driver.Pointer {
		from := next
		upload(c, from, v)
		next += driver.Pointer(4 * len(v))
		return from
	}
	p.positions, p.segmentOf, p.starts, p.lengths, p.tileList = put(h.positions), put(h.segmentOf), put(h.starts), put(h.lengths), put(h.tiles)
	c.transfers.up(4 * n)
	return p
}

type hostTables struct {
	positions, segmentOf, starts, lengths, tiles []int32
	ids                                          []uint64
	padded                                       bool
	lastPlace                                    int32
	err                                          error
}

// hostLayout makes the tables. A tile is (first row of the segment, length of the segment, where in it the tile begins).
func hostLayout(d backend.PackingData, tileRows int) (h hostTables) {
	h.positions, h.segmentOf = make([]int32, d.Rows), make([]int32, d.Rows)
	for i := range h.segmentOf {
		h.segmentOf[i] = -1
	}
	end := 0
	for i, s := range d.Segments {
		if s.Start < end || s.Len < 0 || s.Start+s.Len > d.Rows {
			h.err = fmt.Errorf("segment %d, rows %d to %d, does not lie after row %d and before row %d", i, s.Start, s.Start+s.Len, end, d.Rows)
			return h
		}
		h.padded = h.padded || s.Start > end
		end = s.Start + s.Len
		h.starts, h.lengths, h.ids = append(h.starts, int32(s.Start)), append(h.lengths, int32(s.Len)), append(h.ids, s.ID)
		for t := range s.Len {
			h.positions[s.Start+t], h.segmentOf[s.Start+t] = int32(t), int32(i)
		}
		for first := 0; first < s.Len; first += tileRows {
			h.tiles = append(h.tiles, int32(s.Start), int32(s.Len), int32(first))
		}
	}
	h.padded = h.padded || end < d.Rows
	if d.Positions != nil {
		if len(d.Positions) != d.Rows {
			h.err = fmt.Errorf("%d positions for %d rows", len(d.Positions), d.Rows)
			return h
		}
		h.positions = d.Positions
	}
	for i, p := range h.positions {
		if p < 0 {
			h.err = fmt.Errorf("row %d has position %d", i, p)
			return h
		}
		h.lastPlace = max(h.lastPlace, p)
	}
	return h
}
