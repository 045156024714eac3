package cpu

import (
	"runtime"
	"sync/atomic"
)

// spins is how often a worker looks for work before it sleeps: the gaps between the operations of a step are shorter than waking a thread.
const spins = 20000

// pool runs parts of one operation on a fixed set of goroutines. Only one caller at a time may use it (machine.mu).
type pool struct {
	threads int
	workers []*worker
	part    atomic.Int64 // next part of the current job
	pending atomic.Int64 // workers that have not finished it
	parts   int
	job     func(part int)
	failure atomic.Pointer[failure]
}

type failure struct{ reason any }

type worker struct {
	ticket atomic.Uint64 // raised for every job; the highest value means stop
	asleep atomic.Bool
	wake   chan struct{}
}

const stop = ^uint64(0)

func newPool(threads int) *pool {
	p := &pool{threads: max(1, threads)}
	for range p.threads - 1 {
		w := &worker{wake: make(chan struct{}, 1)}
		p.workers = append(p.workers, w)
		go p.work(w)
	}
	return p
}

// run calls job(0) … job(parts-1), each once, and returns when all are done. A panic in any of them is raised here.
func (p *pool) run(parts int, job func(part int)) {
	helpers := min(len(p.workers), parts-1)
	if helpers <= 0 {
		for i := range parts {
			job(i)
		}
		return
	}
	p.job, p.parts = job, parts
	p.part.Store(0)
	p.failure.Store(nil)
	p.pending.Store(int64(helpers))
	for _, w := range p.workers[:helpers] {
		w.ticket.Add(1)
		if w.asleep.Load() {
			select {
			case w.wake <- struct{}{}:
			default:
			}
		}
	}
	p.share()
	for n := 1; p.pending.Load() > 0; n++ {
		if n%64 == 0 {
			runtime.Gosched()
		}
	}
	p.job = nil
	if f := p.failure.Load(); f != nil {
		panic(f.reason)
	}
}

// share takes parts until none is left.
func (p *pool) share() {
	defer func() {
		if r := recover(); r != nil {
			p.failure.CompareAndSwap(nil, &failure{r})
		}
	}()
	for {
		i := int(p.part.Add(1)) - 1
		if i >= p.parts {
			return
		}
		p.job(i)
	}
}

func (p *pool) work(w *worker) {
	var seen uint64
	for {
		t := w.await(seen)
		if t == stop {
			return
		}
		seen = t
		p.share()
		p.pending.Add(-1)
	}
}

// await returns the ticket once it differs from seen.
func (w *worker) await(seen uint64) uint64 {
	for n := 1; ; n++ {
		if t := w.ticket.Load(); t != seen {
			return t
		}
		if n%64 == 0 {
			runtime.Gosched()
		}
		if n < spins {
			continue
		}
		// The flag is raised before the last look: whoever raises the ticket afterwards sees it and wakes us.
		w.asleep.Store(true)
		if t := w.ticket.Load(); t != seen {
			w.asleep.Store(false)
			return t
		}
		<-w.wake
		w.asleep.Store(false)
		n = 1
	}
}

func (p *pool) close() {
	for _, w := range p.workers {
		w.ticket.Store(stop)
		select {
		case w.wake <- struct{}{}:
		default:
		}
	}
}
