package cuda

import (
	"errors"
	"fmt"
	"slices"
	"sync"

	driver "github.com/so8t/so8t/cuda"
	"github.com/so8t/so8t/stages/internal/backend"
)

const (
	// grain is what sizes are rounded up to: cuBLAS and the kernels get aligned rows.
	grain = 256
	// chunkBytes is the least that is taken from the card at once.
	chunkBytes = 64 << 20
)

// span is a range of the card's memory.
type span struct {
	at driver.Pointer
	n  int64
}

func (s span) end() driver.Pointer { return s.at + driver.Pointer(s.n) }

// arena hands out the card's memory. It takes chunks from the card, and takes the smallest free span that fits from those; spans that touch
// become one again. Work is in the order of a stream, so memory that was given back can be handed out while the card still uses it.
type arena struct {
	mu       sync.Mutex
	dev      *driver.Device // nil: count only
	limit    int64          // of what is taken from the card; 0: none
	chunks   []span
	free     []span // in the order of addresses
	live     int64  // handed out
	peakLive int64
	taken    int64 // from the card
	most     int64
	count    int64 // chunks ever taken
}

func newArena(limit int64, dev *driver.Device) arena { return arena{limit: limit, dev: dev} }

// take hands out n bytes.
func (a *arena) take(n int64) (span, error) {
	a.mu.Lock()
	defer a.mu.Unlock()
	n = max(grain, (n+grain-1)/grain*grain)
	i := a.fit(n)
	if i < 0 {
		if err := a.grow(n); err != nil {
			return span{}, err
		}
		i = a.fit(n)
	}
	s := span{a.free[i].at, n}
	if a.free[i].n == n {
		a.free = slices.Delete(a.free, i, i+1)
	} else {
		a.free[i] = span{s.end(), a.free[i].n - n}
	}
	a.live += n
	a.peakLive = max(a.peakLive, a.live)
	return s, nil
}

// fit is the place of the smallest free span of at least n bytes, -1 without one.
func (a *arena) fit(n int64) int {
	best := -1
	for i, s := range a.free {
		if s.n >= n && (best < 0 || s.n < a.free[best].n) {
			best = i
		}
	}
	return best
}

// give takes a span back.
func (a *arena) give(s span) {
	a.mu.Lock()
	defer a.mu.Unlock()
	a.live -= s.n
	a.insert(s)
}

func (a *arena) insert(s span) {
	i, _ := slices.BinarySearchFunc(a.free, s.at, func(f span, at driver.Pointer) int {
		if f.at < at {
			return -1
		}
		return 1
	})
	if i < len(a.free) && s.end() == a.free[i].at && !a.begins(s.end()) {
		s.n += a.free[i].n
		a.free = slices.Delete(a.free, i, i+1)
	}
	if i > 0 && a.free[i-1].end() == s.at && !a.begins(s.at) {
		a.free[i-1].n += s.n
		return
	}
	a.free = slices.Insert(a.free, i, s)
}

// begins reports whether a chunk begins here: what lies in two chunks never becomes one span.
func (a *arena) begins(at driver.Pointer) bool {
	return slices.ContainsFunc(a.chunks, func(c span) bool { return c.at == at })
}

// reserve makes room for n bytes in one chunk.
func (a *arena) reserve(n int64) error {
	a.mu.Lock()
	defer a.mu.Unlock()
	return a.grow(max(grain, n/grain*grain))
}

// grow takes a chunk for at least n bytes: a large one, or just n where there is no room for more, after giving back chunks that lie idle.
func (a *arena) grow(n int64) error {
	err := a.chunk(max(n, chunkBytes))
	if err == nil || !errors.Is(err, backend.ErrOutOfMemory) {
		return err
	}
	a.release()
	return a.chunk(n)
}

func (a *arena) chunk(n int64) error {
	if a.limit > 0 && a.taken+n > a.limit {
		return fmt.Errorf("%w: %d bytes more than the limit of %d", backend.ErrOutOfMemory, a.taken+n-a.limit, a.limit)
	}
	at := driver.Pointer(a.count+1) << 40 // a dry arena's chunks lie far from each other
	if a.dev != nil {
		var err error
		if at, err = a.dev.Alloc(n); errors.Is(err, driver.ErrOutOfMemory) {
			return fmt.Errorf("%w: the card has no %d bytes beside the %d in use: %w", backend.ErrOutOfMemory, n, a.taken, err)
		} else if err != nil {
			return err
		}
	}
	a.chunks = append(a.chunks, span{at, n})
	a.insert(span{at, n})
	a.count++
	a.taken += n
	a.most = max(a.most, a.taken)
	return nil
}

// shrink gives chunks back that nothing lies in.
func (a *arena) shrink() {
	a.mu.Lock()
	defer a.mu.Unlock()
	a.release()
}

func (a *arena) release() {
	a.chunks = slices.DeleteFunc(a.chunks, func(c span) bool {
		i := slices.Index(a.free, c)
		if i < 0 {
			return false
		}
		a.free = slices.Delete(a.free, i, i+1)
		a.taken -= c.n
		if a.dev != nil {
			a.dev.Free(c.at)
		}
		return true
	})
}

// close gives everything back, in use or not.
func (a *arena) close() {
	a.mu.Lock()
	defer a.mu.Unlock()
	for _, c := range a.chunks {
		if a.dev != nil {
			a.dev.Free(c.at)
		}
	}
	a.chunks, a.free = nil, nil
}
