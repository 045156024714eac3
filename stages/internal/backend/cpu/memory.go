package cpu

import (
	"math/bits"
	"sync"
	"sync/atomic"

	"github.com/so8t/so8t/stages/internal/backend"
)

// buffer is memory of a size class, or a view (class -1).
type buffer[T real] struct {
	data  []T // nil on a dry machine
	n     int // numbers in use
	class int
	place int // in its scope's list
}

func (b *buffer[T]) Len() int { return b.n }

// cut makes it n numbers long.
func (b *buffer[T]) cut(n int) {
	b.n = n
	if b.data != nil {
		b.data = b.data[:n]
	}
}

type ints struct{ data []int32 }

func (i *ints) Len() int { return len(i.data) }

// memory keeps what scopes gave back, by size class.
type memory[T real] struct {
	mu       sync.Mutex
	free     map[int][]*buffer[T]
	dry      bool  // count, but hold nothing
	limit    int64 // of counters.Bytes; 0: none
	full     func(wanted int64)
	live     int64 // bytes in use
	peakLive int64
	counters backend.Counters // Allocations, Bytes, PeakBytes are guarded by mu

	uploads, downloads, uploaded, downloaded atomic.Int64
}

func (m *memory[T]) init() { m.free = map[int][]*buffer[T]{} }

// classOf rounds n up to eighths of a power of two, so that at most 1/8 is wasted and batches of nearly equal size share memory.
func classOf(n int) int {
	if n <= 64 {
		return 64
	}
	step := 1 << max(0, bits.Len(uint(n-1))-4)
	return (n + step - 1) / step * step
}

func (m *memory[T]) take(n int) *buffer[T] {
	class := classOf(n)
	m.mu.Lock()
	if b := m.reuse(class); b != nil {
		m.use(m.bytes(b.class))
		m.mu.Unlock()
		b.cut(n)
		return b
	}
	bytes := m.bytes(class)
	m.trim(bytes)
	if m.limit > 0 && m.counters.Bytes+bytes > m.limit {
		m.drop()
	}
	if m.limit > 0 && m.counters.Bytes+bytes > m.limit {
		m.mu.Unlock()
		m.full(bytes)
		return &buffer[T]{data: make([]T, n), n: n, class: -1} // nothing will be written: no operation runs any more
	}
	m.use(bytes)
	m.counters.Allocations++
	m.counters.Bytes += bytes
	m.counters.PeakBytes = max(m.counters.PeakBytes, m.counters.Bytes)
	m.mu.Unlock()
	b := &buffer[T]{class: class}
	if !m.dry {
		b.data = make([]T, class)
	}
	b.cut(n)
	return b
}

// bytes is the size of a buffer of a class.
func (m *memory[T]) bytes(class int) int64 {
	var zero T
	return int64(class) * size(zero)
}

// use counts memory that is handed out. The caller holds mu.
func (m *memory[T]) use(bytes int64) {
	m.live += bytes
	m.peakLive = max(m.peakLive, m.live)
}

// trim gives free buffers back to Go, largest first, when with so many bytes more there would be held clearly more than was ever in use at
// once: what is left of batches of other sizes. The caller holds mu.
func (m *memory[T]) trim(bytes int64) {
	budget := max(m.peakLive, m.live+bytes) / 8 * 9
	for m.counters.Bytes+bytes > budget {
		largest := -1
		for class, list := range m.free {
			if len(list) > 0 && class > largest {
				largest = class
			}
		}
		if largest < 0 {
			return
		}
		list := m.free[largest]
		list[len(list)-1] = nil
		m.free[largest] = list[:len(list)-1]
		m.counters.Bytes -= m.bytes(largest)
	}
}

// reuse takes a free buffer of the class, or of one that is not much larger: batches of other
// sizes than before then need little memory of their own. The caller holds mu.
func (m *memory[T]) reuse(class int) *buffer[T] {
	for c := class; c <= class+class/2; c = classOf(c + 1) {
		if list := m.free[c]; len(list) > 0 {
			m.free[c] = list[:len(list)-1]
			return list[len(list)-1]
		}
	}
	return nil
}

func size[T real](v T) int64 {
	if _, ok := any(v).(float32); ok {
		return 4
	}
	return 8
}

// drop gives what nothing uses back to Go. The caller holds mu.
func (m *memory[T]) drop() {
	for class, list := range m.free {
		m.counters.Bytes -= m.bytes(class) * int64(len(list))
	}
	clear(m.free)
}

func (m *memory[T]) give(bs ...*buffer[T]) {
	m.mu.Lock()
	defer m.mu.Unlock()
	for _, b := range bs {
		if b.class < 0 { // handed out when there was no memory
			continue
		}
		m.live -= m.bytes(b.class)
		m.free[b.class] = append(m.free[b.class], b)
	}
}

// scope owns the buffers in live.
type scope[T real] struct {
	mem  *memory[T]
	mu   sync.Mutex
	live []*buffer[T]
}

func (s *scope[T]) Alloc(n int) backend.Buffer {
	b := s.mem.take(n)
	s.mu.Lock()
	b.place = len(s.live)
	s.live = append(s.live, b)
	s.mu.Unlock()
	return b
}

func (s *scope[T]) AllocInts(src []int32) backend.Ints {
	s.mem.uploads.Add(1)
	s.mem.uploaded.Add(4 * int64(len(src)))
	return &ints{append([]int32(nil), src...)}
}

func (s *scope[T]) Free(v backend.Buffer) {
	b, ok := v.(*buffer[T])
	if !ok || b.class < 0 {
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
	s.mem.give(b)
}

func (s *scope[T]) End() {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.mem.give(s.live...)
	s.live = s.live[:0]
}

func (m *machine[T]) NewScope() backend.Scope { return &scope[T]{mem: &m.mem} }

func (m *machine[T]) NewBuffer(n int) backend.Buffer {
	b := m.mem.take(n)
	clear(b.data)
	return b
}

func (m *machine[T]) Release(v backend.Buffer) {
	if b, ok := v.(*buffer[T]); ok && b.class >= 0 {
		m.mem.give(b)
	}
}

func (m *machine[T]) View(v backend.Buffer, off, n int) backend.Buffer {
	b := &buffer[T]{n: n, class: -1}
	if !m.mem.dry {
		b.data = data[T](v)[off : off+n]
	}
	return b
}

func (m *machine[T]) Counters() backend.Counters {
	m.mem.mu.Lock()
	defer m.mem.mu.Unlock()
	c := m.mem.counters
	c.Uploads, c.Downloads = m.mem.uploads.Load(), m.mem.downloads.Load()
	c.UploadedBytes, c.DownloadBytes = m.mem.uploaded.Load(), m.mem.downloaded.Load()
	return c
}

func (m *machine[T]) Upload(dst backend.Buffer, src []float32) {
	m.run("an upload", func() { convert(data[T](dst), src); m.countUp(4 * len(src)) })
}

func (m *machine[T]) Upload64(dst backend.Buffer, src []float64) {
	m.run("an upload", func() { convert(data[T](dst), src); m.countUp(8 * len(src)) })
}

func (m *machine[T]) Download(dst []float32, src backend.Buffer) {
	m.run("a download", func() { convert(dst, data[T](src)); m.countDown(4 * len(dst)) })
}

func (m *machine[T]) Download64(dst []float64, src backend.Buffer) {
	m.run("a download", func() { convert(dst, data[T](src)); m.countDown(8 * len(dst)) })
}

func (m *machine[T]) countUp(n int) {
	m.mem.uploads.Add(1)
	m.mem.uploaded.Add(int64(n))
}

func (m *machine[T]) countDown(n int) {
	m.mem.downloads.Add(1)
	m.mem.downloaded.Add(int64(n))
}

// convert copies between precisions; lengths must agree.
func convert[D, S real](dst []D, src []S) {
	if len(dst) != len(src) {
		panic("copy between different lengths")
	}
	if d, ok := any(dst).([]S); ok {
		copy(d, src)
		return
	}
	for i, v := range src {
		dst[i] = D(v)
	}
}
