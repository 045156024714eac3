package cpu

import (
	"errors"
	"fmt"
	"sync"

	"github.com/so8t/so8t/stages/internal/backend"
)

type real interface{ ~float32 | ~float64 }

// machine is a backend over slices of T.
type machine[T real] struct {
	k    kernels[T]
	pool *pool
	info backend.Info
	mem  memory[T]

	mu sync.Mutex // one operation at a time

	errMu sync.Mutex
	err   error // the first failure; guarded by errMu
}

var (
	_ backend.Backend = (*machine[float32])(nil)
	_ backend.Backend = (*machine[float64])(nil)
)

func newMachine[T real](threads int) *machine[T] {
	m := &machine[T]{pool: newPool(threads)}
	m.mem.init()
	m.mem.full = func(wanted int64) {
		m.Fail(fmt.Errorf("%w: %d bytes more than the limit of %d", backend.ErrOutOfMemory, wanted, m.mem.limit))
	}
	return m
}

func (m *machine[T]) Err() error {
	m.errMu.Lock()
	defer m.errMu.Unlock()
	return m.err
}

func (m *machine[T]) Fail(err error) {
	m.errMu.Lock()
	defer m.errMu.Unlock()
	if m.err == nil {
		m.err = err
	}
}

// Recover is part of backend.Status.
func (m *machine[T]) Recover() bool {
	m.errMu.Lock()
	if errors.Is(m.err, backend.ErrOutOfMemory) {
		m.err = nil
	}
	well := m.err == nil
	m.errMu.Unlock()
	m.mem.mu.Lock()
	defer m.mem.mu.Unlock()
	m.mem.drop()
	return well
}

func (m *machine[T]) Info() backend.Info { return m.info }

func (m *machine[T]) Sync() {}

func (m *machine[T]) Close() error {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.pool.close()
	return nil
}

// run executes one operation: alone, not at all after a failure, and with a panic (a shape that does not fit) turned into the failure.
func (m *machine[T]) run(name string, f func()) {
	m.mu.Lock()
	defer m.mu.Unlock()
	if m.Err() != nil || m.mem.dry {
		return
	}
	defer func() {
		if r := recover(); r != nil {
			m.Fail(fmt.Errorf("computing %s: %v", name, r))
		}
	}()
	f()
}

var errForeign = errors.New("buffer of another backend")

// data is the numbers of a buffer; nil for nil.
func data[T real](b backend.Buffer) []T {
	if b == nil {
		return nil
	}
	v, ok := b.(*buffer[T])
	if !ok {
		panic(errForeign)
	}
	return v.data
}

// split runs f over [0, n) cut into one range a thread, in multiples of unit. grain is the least worth a thread.
func (m *machine[T]) split(n, unit, grain int, f func(from, to int)) {
	units := (n + unit - 1) / unit
	parts := min(m.pool.threads, units, max(1, n/max(1, grain)))
	if parts <= 1 {
		f(0, n)
		return
	}
	m.pool.run(parts, func(p int) {
		f(min(n, units*p/parts*unit), min(n, units*(p+1)/parts*unit))
	})
}
