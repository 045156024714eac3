package phi3

import (
	"fmt"

	"github.com/so8t/so8t/stages/internal/backend"
)

// rope is the rotary table on a backend; see ropeTable for its layout.
type rope struct {
	ropeLayout
	table  backend.RopeTable
	maxLen int
}

// newRope covers sequences of up to maxLen tokens.
func newRope(be backend.Backend, c *Config, maxLen int) rope {
	t := c.newRopeTable(maxLen)
	upload := func(v []float64) backend.Buffer {
		b := be.NewBuffer(len(v))
		be.Upload64(b, v)
		return b
	}
	return rope{
		ropeLayout: t.ropeLayout, maxLen: maxLen,
		table: backend.RopeTable{Cos: upload(t.cos), Sin: upload(t.sin), Rotary: t.rotary},
	}
}

func (r rope) release(be backend.Backend) {
	be.Release(r.table.Cos)
	be.Release(r.table.Sin)
}

// pack fills in each token's row of the table: positions count from 0 in every segment,
// and each segment takes the long factors or not by its own length.
func (r rope) pack(be backend.Backend, c *Config, p backend.PackingData) (backend.Packing, error) {
	p.Positions = make([]int32, p.Rows)
	for _, s := range p.Segments {
		if s.Len > r.maxLen {
			return nil, fmt.Errorf("packing a batch: a sequence of %d tokens, at most %d were planned for", s.Len, r.maxLen)
		}
		long := c.UsesLong(s.Len)
		for i := range s.Len {
			p.Positions[s.Start+i] = r.row(i, long)
		}
	}
	return be.Pack(p), nil
}
