package engine

import (
	"context"
	"errors"
	"sync"
	"time"

	"github.com/so8t/so8t/plugins/host"
)

// ahead starts the process of the stage that comes next while the ones before it run: loading the
// program and shaking hands is most of what a short stage takes. There is at most one such process.
//
// It knows nothing of the stage. It is one of a built-in plugin with no variables, secrets or devices
// of its own, so it is what would be started later; it is recorded, by Adopt, before it is asked to do
// anything; until then it ends, as any built-in plugin does, with the engine. Whom nobody has come for
// after a while is ended.
type ahead struct {
	start func(context.Context, host.Command) (spare, error) // nil: never
	ctx   context.Context
	stop  context.CancelFunc
	work  sync.WaitGroup

	mu     sync.Mutex
	next   *pluginInfo // what is expected to be started next, or nil
	waits  *prepared   // or nil
	closed bool
}

// spare is a process that is not yet anybody's.
type spare interface {
	process
	Adopt(host.Options) error
}

// prepared is a spare that may still be starting.
type prepared struct {
	plugin  *pluginInfo
	started chan struct{} // closed when process is set, or nil for good
	process spare
	expiry  *time.Timer
}

// spareLife is how long a process waits for its stage.
const spareLife = 10 * time.Second

// spareMemory is how much memory must be free for a process that waits, in bytes.
const spareMemory = 256 << 20

func newAhead(start func(context.Context, host.Command) (spare, error)) *ahead {
	a := &ahead{start: start}
	a.ctx, a.stop = context.WithCancel(context.Background())
	return a
}

func hostPrepare(ctx context.Context, c host.Command) (spare, error) {
	p, err := host.Launch(ctx, c, host.Options{})
	if err != nil {
		return nil, err
	}
	return p, nil
}

// expect says which node is likely to start next; nil when that cannot be said.
func (a *ahead) expect(n *node, gpus int) {
	var next *pluginInfo
	if n != nil && !n.plugin.foreign() && len(n.env) == 0 && len(n.secrets) == 0 && gpus == 0 {
		next = n.plugin
	}
	a.mu.Lock()
	a.next = next
	a.mu.Unlock()
}

// prepare starts what is expected, unless a process waits already.
func (a *ahead) prepare() {
	a.mu.Lock()
	defer a.mu.Unlock()
	if a.start == nil || a.closed || a.next == nil || a.waits != nil {
		return
	}
	p := &prepared{plugin: a.next, started: make(chan struct{})}
	a.waits = p
	p.expiry = time.AfterFunc(spareLife, func() { a.expire(p) })
	a.work.Go(func() {
		defer close(p.started)
		if s, err := a.start(a.ctx, p.plugin.command); err == nil { // else its stage will say why
			p.process = s
		}
	})
}

// take returns the process that waits if it is one of the plugin as it is to be started; else nil.
func (a *ahead) take(ctx context.Context, plugin *pluginInfo) spare {
	a.mu.Lock()
	p := a.waits
	if p == nil || p.plugin != plugin {
		a.mu.Unlock()
		return nil
	}
	a.waits = nil
	a.mu.Unlock()
	p.expiry.Stop()
	select {
	case <-p.started:
		return p.process
	case <-ctx.Done():
		a.work.Go(p.end)
		return nil
	}
}

func (a *ahead) expire(p *prepared) {
	a.mu.Lock()
	defer a.mu.Unlock()
	if a.waits == p {
		a.waits = nil
		a.work.Go(p.end)
	}
}

func (p *prepared) end() {
	<-p.started
	if p.process != nil {
		p.process.Close()
	}
}

// close ends the process that waits, and starts no more.
func (a *ahead) close() {
	a.mu.Lock()
	p := a.waits
	a.waits, a.closed = nil, true
	a.mu.Unlock()
	a.stop()
	if p != nil {
		p.expiry.Stop()
		p.end()
	}
	a.work.Wait()
}

// start starts a plugin for an attempt, or takes the process that was started ahead.
func (r *run) start(ctx context.Context, plugin *pluginInfo, o host.Options) (process, error) {
	s := r.ahead.take(ctx, plugin)
	r.ahead.prepare()
	if s == nil {
		return r.e.start(ctx, plugin, o)
	}
	if err := r.e.crash.step("start", o.Name); err != nil {
		s.Close()
		return nil, err
	}
	switch err := s.Adopt(o); {
	case errors.Is(err, host.ErrEnded):
		return r.e.launch(ctx, plugin.command, o)
	case err != nil:
		return nil, err
	}
	return s, nil
}

// expectFirst starts the process of the first node that runs while the run is still being stored.
func (r *run) expectFirst() {
	for i, n := range r.nodes {
		if r.plan.decisions[i].action == ActionRun {
			if freeMemory() >= spareMemory {
				r.ahead.expect(n, n.gpus(r.plan.reports[n.instance]))
				r.ahead.prepare()
			}
			return
		}
	}
}

// expect tells what starts when one that runs ends: what is ready and has to wait, else what waits
// for the node that was started last and nothing else.
func (s *scheduler) expect(last *node) {
	var next *node
	if item, found := s.ready.first(func(i int) bool { return s.fits(s.r.nodes[i]) }); found {
		next = s.r.nodes[item.index]
	} else if last != nil {
		for _, i := range last.readers {
			if s.waiting[i] == 1 && s.r.results[i].outcome == "" && s.fits(s.r.nodes[i]) {
				next = s.r.nodes[i]
				break
			}
		}
	}
	if next == nil || s.free.Memory < next.resources.Memory+spareMemory {
		s.r.ahead.expect(nil, 0)
		return
	}
	s.r.ahead.expect(next, s.gpus(next))
}
