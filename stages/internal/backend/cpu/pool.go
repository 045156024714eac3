package cpu

import (
	"runtime"
	"sync"
	"sync/atomic"
	"time"
)

const (
	// idleSpins is how often a worker looks for work before it sleeps: the gaps between the operations of a step are shorter than waking a thread.
	idleSpins = 20000
	// waitSpins is how often the caller looks whether the others are done before it gives its processor away: on a busy machine the worker it
	// waits for may need that very processor.
	waitSpins = 5000
)

// pool runs the parts of one operation on the caller and a fixed set of goroutines. Only one caller at a time may use it (machine.mu).
// A worker that comes late finds no part left and costs nothing: the caller waits for parts, not for workers.
type pool struct {
	threads int
	workers []*worker
	ended   sync.WaitGroup // the workers' goroutines
	current atomic.Pointer[job]
}

// job is one operation. A new one is made each time, so that late workers look at an old job's counters and not at the next one's.
type job struct {
	parts   int64
	f       func(part int)
	next    atomic.Int64 // part to take
	done    atomic.Int64 // parts finished
	failure atomic.Pointer[failure]
}

type failure struct{ reason any }

type worker struct {
	asleep atomic.Bool
	wake   chan struct{}
}

// stopped is the job that ends the workers.
var stopped = &job{}

func newPool(threads int) *pool {
	p := &pool{threads: max(1, threads)}
	for range p.threads - 1 {
		w := &worker{wake: make(chan struct{}, 1)}
		p.workers = append(p.workers, w)
		p.ended.Go(func() { p.work(w) })
	}
	return p
}

// run calls f(0) … f(parts-1), each once, and returns when all are done. A panic in any of them is raised here.
func (p *pool) run(parts int, f func(part int)) {
	helpers := min(len(p.workers), parts-1)
	if helpers <= 0 {
		for i := range parts {
			f(i)
		}
		return
	}
	j := &job{parts: int64(parts), f: f}
	p.current.Store(j)
	for _, w := range p.workers[:helpers] {
		w.rouse()
	}
	j.share()
	for n := 1; j.done.Load() < j.parts; n++ {
		switch {
		case n > waitSpins:
			time.Sleep(10 * time.Microsecond)
		case n%64 == 0:
			runtime.Gosched()
		}
	}
	if f := j.failure.Load(); f != nil {
		panic(f.reason)
	}
}

// share takes parts until none is left.
func (j *job) share() {
	for {
		i := j.next.Add(1) - 1
		if i >= j.parts {
			return
		}
		j.do(int(i))
	}
}

func (j *job) do(part int) {
	defer j.done.Add(1)
	defer func() {
		if r := recover(); r != nil {
			j.failure.CompareAndSwap(nil, &failure{r})
		}
	}()
	j.f(part)
}

func (p *pool) work(w *worker) {
	var seen *job
	for {
		seen = p.await(w, seen)
		if seen == stopped {
			return
		}
		seen.share()
	}
}

// await returns the current job once it is another than seen.
func (p *pool) await(w *worker, seen *job) *job {
	for n := 1; ; n++ {
		if j := p.current.Load(); j != seen {
			return j
		}
		if n%64 == 0 {
			runtime.Gosched()
		}
		if n < idleSpins {
			continue
		}
		// The flag is raised before the last look: whoever stores a job afterwards sees it and wakes us.
		w.asleep.Store(true)
		if j := p.current.Load(); j != seen {
			w.asleep.Store(false)
			return j
		}
		<-w.wake
		w.asleep.Store(false)
		n = 1
	}
}

func (w *worker) rouse() {
	if w.asleep.Load() {
		select {
		case w.wake <- struct{}{}:
		default:
		}
	}
}

// close ends the workers and waits for them; it may be called again.
func (p *pool) close() {
	p.current.Store(stopped)
	for _, w := range p.workers {
		w.rouse()
	}
	p.ended.Wait()
}
