package cpu

import (
	"fmt"

	"github.com/so8t/so8t/stages/internal/backend"
)

// packing is a batch's layout in host memory.
type packing struct {
	rows      int
	segments  []backend.Segment
	positions []int32
	triples   int
	padding   [][2]int // ranges of rows in no segment
}

func (p *packing) Rows() int                   { return p.rows }
func (p *packing) Segments() []backend.Segment { return p.segments }
func (p *packing) Triples() int                { return p.triples }

func (m *machine[T]) Pack(d backend.PackingData) backend.Packing {
	p := &packing{rows: d.Rows, segments: d.Segments, positions: d.Positions, triples: d.Triples()}
	end := 0
	for i, s := range d.Segments {
		if s.Start < end || s.Len < 0 || s.Start+s.Len > d.Rows {
			m.Fail(fmt.Errorf("packing a batch: segment %d, rows %d to %d, does not lie after row %d and before row %d", i, s.Start, s.Start+s.Len, end, d.Rows))
			return &packing{rows: d.Rows, positions: make([]int32, d.Rows)}
		}
		if s.Start > end {
			p.padding = append(p.padding, [2]int{end, s.Start})
		}
		end = s.Start + s.Len
	}
	if end < d.Rows {
		p.padding = append(p.padding, [2]int{end, d.Rows})
	}
	if p.positions == nil {
		p.positions = make([]int32, d.Rows)
		for _, s := range d.Segments {
			for t := range s.Len {
				p.positions[s.Start+t] = int32(t)
			}
		}
	} else if len(p.positions) != d.Rows {
		m.Fail(fmt.Errorf("packing a batch: %d positions for %d rows", len(p.positions), d.Rows))
		p.positions = make([]int32, d.Rows)
	}
	return p
}

func layout(p backend.Packing) *packing {
	v, ok := p.(*packing)
	if !ok {
		panic("packing of another backend")
	}
	return v
}
