package cuda

import (
	"errors"
	"sync"
	"sync/atomic"
	"unsafe"

	driver "github.com/so8t/so8t/cuda"
	"github.com/so8t/so8t/stages/internal/backend"
)

// buffer is memory of the arena, or a view of one (own.n = 0).
type buffer struct {
	at    driver.Pointer // 0: there was no memory
	n     int            // numbers
	own   span
	place int // in its scope's list
}

func (b *buffer) Len() int { return b.n }

type ints struct {
	host []int32
	own  span
}

func (i *ints) Len() int { return len(i.host) }

// noScratch ends an operation that found no memory for its scratch; the failure is latched already.
type noScratch struct{}

var errForeign = errors.New("buffer of another backend")

// at is where n numbers of a buffer begin. It panics when there are fewer.
func at(v backend.Buffer, n int) driver.Pointer {
	b := own(v)
	if n > b.n {
		panic("a buffer is too short for the operation")
	}
	if b.at == 0 && n > 0 {
		panic("a buffer that there was no memory for is used")
	}
	return b.at
}

// optional is at, and 0 for nil.
func optional(v backend.Buffer, n int) driver.Pointer {
	if v == nil {
		return 0
	}
	return at(v, n)
}

func own(v backend.Buffer) *buffer {
	b, ok := v.(*buffer)
	if !ok {
		panic(errForeign)
	}
	return b
}

// matrix is where a matrix begins.
func matrix(m backend.Mat, rows, cols int) driver.Pointer {
	if rows == 0 || cols == 0 {
		return 0
	}
	return at(m.Buf, m.Off+(rows-1)*m.LD+cols) + driver.Pointer(4*m.Off)
}

func (c *card) take(n int) *buffer {
	s, err := c.mem.take(4 * int64(n))
	if err != nil {
		c.Fail(err)
		return &buffer{n: n} // no operation runs any more
	}
	return &buffer{at: s.at, n: n, own: s}
}

// scratch is memory for one operation. done gives it back: what the operation queued comes before whatever gets it next.
func (c *card) scratch(bytes int) (p driver.Pointer, done func()) {
	s, err := c.mem.take(int64(bytes))
	if err != nil {
		c.Fail(err)
		panic(noScratch{})
	}
	return s.at, func() { c.mem.give(s) }
}

// upload copies numbers of any plain type to the card.
func upload[T int32 | uint64 | float32 | uint16 | int8 | uint8](c *card, dst driver.Pointer, src []T) {
	if c.dev == nil || len(src) == 0 {
		return
	}
	c.dev.Upload(dst, unsafe.Slice((*byte)(unsafe.Pointer(&src[0])), len(src)*int(unsafe.Sizeof(src[0]))))
}

// scope owns the buffers and ints in live.
type scope struct {
	c    *card
	mu   sync.Mutex
	live []*buffer
	ints []span
}

func (c *card) NewScope() backend.Scope { return &scope{c: c} }

func (s *scope) Alloc(n int) backend.Buffer {
	b := s.c.take(n)
	s.mu.Lock()
	defer s.mu.Unlock()
	b.place = len(s.live)
	s.live = append(s.live, b)
	return b
}

func (s *scope) AllocInts(src []int32) backend.Ints {
	v := &ints{host: append([]int32(nil), src...)}
	b := s.c.take(len(src))
	v.own = b.own
	if s.c.Err() == nil {
		upload(s.c, v.own.at, src)
		s.c.transfers.up(4 * len(src))
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	s.ints = append(s.ints, v.own)
	return v
}

func (s *scope) Free(v backend.Buffer) {
	b, ok := v.(*buffer)
	if !ok || b.own.n == 0 {
		return
	}
	s.mu.Lock()
	if b.place >= len(s.live) || s.live[b.place] != b { // not ours, or freed before
		s.mu.Unlock()
		return
	}
	last := s.live[len(s.live)-1]
	s.live[b.place] = last
	last.place = b.place
	s.live = s.live[:len(s.live)-1]
	s.mu.Unlock()
	s.c.mem.give(b.own)
}

func (s *scope) End() {
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, b := range s.live {
		if b.own.n > 0 {
			s.c.mem.give(b.own)
		}
	}
	for _, i := range s.ints {
		if i.n > 0 {
			s.c.mem.give(i)
		}
	}
	clear(s.live)
	s.live, s.ints = s.live[:0], s.ints[:0]
}

func (c *card) NewBuffer(n int) backend.Buffer {
	b := c.take(n)
	if b.at != 0 && c.dev != nil {
		c.dev.Zero(b.at, 4*int64(n))
	}
	return b
}

func (c *card) Release(v backend.Buffer) {
	if b, ok := v.(*buffer); ok && b.own.n > 0 {
		c.mem.give(b.own)
	}
}

func (c *card) View(v backend.Buffer, off, n int) backend.Buffer {
	b, ok := v.(*buffer)
	if !ok || off < 0 || off+n > b.n {
		panic("a view reaches beyond its buffer")
	}
	view := &buffer{n: n}
	if b.at != 0 {
		view.at = b.at + driver.Pointer(4*off)
	}
	return view
}

// transfers counts copies.
type transfers struct{ ups, downs, upBytes, downBytes atomic.Int64 }

func (t *transfers) up(n int) {
	t.ups.Add(1)
	t.upBytes.Add(int64(n))
}

func (t *transfers) down(n int) {
	t.downs.Add(1)
	t.downBytes.Add(int64(n))
}

// Counters counts chunks of the card's memory as allocations, and as bytes what is in use of them when dry: the plan of a step.
func (c *card) Counters() backend.Counters {
	c.mem.mu.Lock()
	defer c.mem.mu.Unlock()
	n := backend.Counters{Allocations: c.mem.count, Bytes: c.mem.taken, PeakBytes: c.mem.most}
	if c.dev == nil {
		n.Bytes, n.PeakBytes = c.mem.live, c.mem.peakLive
	}
	n.Uploads, n.Downloads = c.transfers.ups.Load(), c.transfers.downs.Load()
	n.UploadedBytes, n.DownloadBytes = c.transfers.upBytes.Load(), c.transfers.downBytes.Load()
	return n
}

func (c *card) Upload(dst backend.Buffer, src []float32) {
	c.run("an upload", func() {
		same(dst, len(src))
		upload(c, at(dst, len(src)), src)
		c.transfers.up(4 * len(src))
	})
}

func (c *card) Download(dst []float32, src backend.Buffer) {
	c.run("a download", func() {
		same(src, len(dst))
		if c.dev != nil && len(dst) > 0 {
			c.dev.Download(unsafe.Slice((*byte)(unsafe.Pointer(&dst[0])), 4*len(dst)), at(src, len(dst)))
		}
		c.transfers.down(4 * len(dst))
	})
}

func same(b backend.Buffer, n int) {
	if b.Len() != n {
		panic("copy between different lengths")
	}
}

func (c *card) Upload64(dst backend.Buffer, src []float64) {
	v := make([]float32, len(src))
	for i, x := range src {
		v[i] = float32(x)
	}
	c.Upload(dst, v)
}

func (c *card) Download64(dst []float64, src backend.Buffer) {
	v := make([]float32, len(dst))
	c.Download(v, src)
	for i, x := range v {
		dst[i] = float64(x)
	}
}
