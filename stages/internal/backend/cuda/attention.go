package cuda

import (
	"fmt"
	"math"

	driver "github.com/so8t/so8t/cuda"
	"github.com/so8t/so8t/stages/internal/backend"
)

// tiling is how kernels/attention.cu is instantiated: warps of 16 rows each, keys at a time forward and (the other operand) backward.
type tiling struct {
	name               string
	bytes              int // of a number in shared memory
	warps, keys, keysB int
}

var (
	single = tiling{"f32", 4, 2, 16, 16}
	mixed  = tiling{"bf16", 2, 4, 64, 32}
)

func (c *card) tiling() tiling {
	if c.mixed {
		return mixed
	}
	return single
}

// tileRows is the number of query rows, or backward of key rows, that a block works on.
func (c *card) tileRows() int { return 16 * c.tiling().warps }

// headSize is the least instantiated head size that holds dim.
func headSize(dim int) int {
	for _, size := range []int{32, 64, 128} {
		if dim <= size {
			return size
		}
	}
	panic(fmt.Sprintf("heads of %d numbers: the kernels are made for at most 128", dim))
}

// grid is that of the kernel called name: blocks for each tile and head, with shared memory for own tiles of tileRows rows and other tiles of
// n rows, scores, and extra bytes.
func (t tiling) grid(dim, tiles, heads, ownTiles, otherTiles, n, extra int) driver.Grid {
	pad := 16 / t.bytes // as padding in attention.cu
	rows, width := 16*t.warps, headSize(dim)+pad
	return driver.Grid{X: tiles, Y: heads, Block: 32 * t.warps, Shared: t.bytes*(ownTiles*rows*width+otherTiles*n*width+rows*(n+pad)) + extra}
}

func (t tiling) kernel(name string, dim int) string {
	return fmt.Sprintf("%s_%s_%d", name, t.name, headSize(dim))
}

func scale(s backend.AttentionShape) float32 {
	if s.Scale != 0 {
		return float32(s.Scale)
	}
	return float32(1 / math.Sqrt(float64(s.Dim)))
}

// fused is where queries, keys and values of fused rows begin.
func fused(p driver.Pointer, s backend.AttentionShape) (q, k, v driver.Pointer) {
	k = p + driver.Pointer(4*s.Heads*s.Dim)
	return p, k, k + driver.Pointer(4*s.KVHeads*s.Dim)
}

func (c *card) Rope(dst, src backend.Buffer, s backend.AttentionShape, t backend.RopeTable, pk backend.Packing, inverse bool) {
	c.run("RoPE", func() {
		l := layout(pk)
		n := l.rows * s.Width()
		table := (int(l.lastPlace) + 1) * (t.Rotary / 2)
		if t.Cos.Len() < table || t.Sin.Len() < table {
			panic("position outside the rotary table")
		}
		sign := float32(1)
		if inverse {
			sign = -1
		}
		c.launch("rope", blocks(l.rows), at(dst, n), at(src, n), at(t.Cos, table), at(t.Sin, table), l.positions, s.Heads, s.KVHeads, s.Dim, t.Rotary, sign)
	})
}

func (c *card) Attention(out, lse, qkv backend.Buffer, s backend.AttentionShape, pk backend.Packing) {
	c.run("attention", func() {
		l, t, w := layout(pk), c.tiling(), s.Width()
		o, ls := at(out, l.rows*s.Heads*s.Dim), at(lse, l.rows*s.Heads)
		if l.padded {
			c.zero(o, l.rows*s.Heads*s.Dim)
			c.zero(ls, l.rows*s.Heads)
		}
		q, k, v := fused(at(qkv, l.rows*w), s)
		c.launch(t.kernel("attend", s.Dim), t.grid(s.Dim, l.tiles, s.Heads, 1, 2, t.keys, 0), o, ls, q, w, k, v, w, l.tileList, 0,
			s.Heads, s.KVHeads, s.Dim, s.Window, scale(s), 0)
	})
}

func (c *card) AttentionBack(gqkv, gout, out, lse, qkv backend.Buffer, s backend.AttentionShape, pk backend.Packing) {
	c.run("attention's gradient", func() {
		l, t, w := layout(pk), c.tiling(), s.Width()
		rows := l.rows * s.Heads
		g, gup, ls := at(gqkv, l.rows*w), at(gout, rows*s.Dim), at(lse, rows)
		if l.padded {
			c.zero(g, l.rows*w)
		}
		delta, done := c.scratch(4 * rows)
		defer done()
		c.launch("attention_delta", blocks((rows+threads/32-1)/(threads/32)), delta, gup, at(out, rows*s.Dim), rows, s.Dim)
		q, k, v := fused(at(qkv, l.rows*w), s)
		gq, gk, gv := fused(g, s)
		c.launch(t.kernel("attend_back_q", s.Dim), t.grid(s.Dim, l.tiles, s.Heads, 2, 2, t.keysB, 0), gq, gup, ls, delta, q, k, v, w,
			l.tileList, s.Heads, s.KVHeads, s.Dim, s.Window, scale(s))
		c.launch(t.kernel("attend_back_kv", s.Dim), t.grid(s.Dim, l.tiles, s.KVHeads, 2, 2, t.keysB, 8*t.keysB), gk, gv, gup, ls, delta, q, k, v, w,
			l.tileList, s.Heads, s.KVHeads, s.Dim, s.Window, scale(s))
	})
}

func (c *card) CachedAttention(out backend.Buffer, q backend.Mat, keys, values backend.Buffer, s backend.AttentionShape, n, past int) {
	c.run("cached attention", func() {
		t, width := c.tiling(), s.KVHeads*s.Dim
		tiles := (n + c.tileRows() - 1) / c.tileRows()
		c.launch(t.kernel("attend", s.Dim), t.grid(s.Dim, tiles, s.Heads, 1, 2, t.keys, 0), at(out, n*s.Heads*s.Dim), driver.Pointer(0),
			matrix(q, n, s.Heads*s.Dim), q.LD, at(keys, (past+n)*width), at(values, (past+n)*width), width, driver.Pointer(0), n,
			s.Heads, s.KVHeads, s.Dim, s.Window, scale(s), past)
	})
}

// zero clears n numbers.
func (c *card) zero(p driver.Pointer, n int) {
	if c.dev != nil {
		c.dev.Zero(p, 4*int64(n))
	}
}
