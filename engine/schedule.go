package engine

import (
	"context"
	"fmt"
	"runtime"
	"slices"

	"github.com/so8t/so8t/state"
)

// scheduler decides what starts next. It belongs to one goroutine; each instance is looked at
// once when its last dependency ends.
type scheduler struct {
	r       *run
	waiting []int // dependencies that have not ended, by node
	ready   readyLanes
	free    resources
	jobs    int
	running int
	// instances of each stage that run
	instances map[string]int
	// failed is the instance whose failure ends the run, or "".
	failed string
	// settled nodes whose readers have yet to be looked at.
	settled []int
	// between are the nodes that wait between two tries, each with what lets it go on once its wait
	// is over and it is ready again.
	between map[int]chan struct{}
}

// finished is how the work on one node ended.
type finished struct {
	index  int
	result result
	err    error // the run cannot go on
}

// schedule starts what can start until nothing runs and nothing more can.
func (r *run) schedule(ctx context.Context) error {
	s := newScheduler(r)
	done := make(chan finished)
	var fatal error
	if err := s.spread(ctx); err != nil {
		return err
	}
	var last *node // that was started
	for {
		for fatal == nil && r.control.Interrupted() == "" && ctx.Err() == nil && s.running < s.jobs {
			n := s.next()
			if n == nil {
				break
			}
			s.take(n, 1)
			if s.goOn(n) {
				continue
			}
			last = n
			s.expect(last)
			go func() {
				res, err := r.work(ctx, n)
				done <- finished{n.index, res, err}
			}()
		}
		if s.running == 0 && len(s.between) == 0 {
			return fatal
		}
		var f finished
		select {
		case t := <-r.tryAgain:
			s.heed(t)
			continue
		case f = <-done:
		}
		s.release(f.index)
		if f.err != nil {
			if fatal == nil {
				fatal = fmt.Errorf("stage %q: %w", r.nodes[f.index].instance, f.err)
				r.control.Kill()
			}
			continue
		}
		if err := s.end(ctx, f); err != nil && fatal == nil {
			fatal = err
			r.control.Kill()
		}
	}
}

// jobs is how many attempts run at a time.
func (r *run) jobs() int {
	if c := r.plan.Workflow.Concurrency; c > 0 {
		return min(c, r.e.opts.Jobs)
	}
	return r.e.opts.Jobs
}

func newScheduler(r *run) *scheduler {
	s := &scheduler{
		r: r, waiting: make([]int, len(r.nodes)), jobs: r.jobs(), ready: readyLanes{},
		instances: map[string]int{}, between: map[int]chan struct{}{},
	}
	s.free = resources{CPU: runtime.NumCPU(), Memory: freeMemory(), Slots: map[string]int{}}
	for _, slot := range r.plan.Workflow.Slots {
		s.free.Slots[slot.Name] = slot.Count
	}
	for i, n := range r.nodes {
		if n.gpus(r.plan.reports[n.instance]) > 0 {
			s.free.GPU = max(s.free.GPU, len(r.devices()))
		}
		// What asks for more than there is runs alone.
		s.free.CPU, s.free.GPU = max(s.free.CPU, n.resources.CPU), max(s.free.GPU, n.gpus(r.plan.reports[n.instance]))
		s.free.Memory = max(s.free.Memory, n.resources.Memory)
		s.waiting[i] = len(n.needs)
		if r.results[i].outcome != "" {
			s.settled = append(s.settled, i)
		} else if len(n.needs) == 0 {
			s.consider(n)
		}
	}
	return s
}

// next takes the first ready node whose resources are free; nil when there is none.
func (s *scheduler) next() *node {
	item, found := s.ready.pop(func(i int) bool { return s.fits(s.r.nodes[i]) })
	if !found {
		return nil
	}
	return s.r.nodes[item.index]
}

// wait puts a node among what could start.
func (s *scheduler) wait(n *node) {
	d := demand{cpu: n.resources.CPU, gpu: s.gpus(n), memory: n.resources.Memory}
	if n.atOnce > 0 {
		d.stage = n.stage
	}
	for _, name := range sortedKeys(n.resources.Slots) {
		d.slots += fmt.Sprintf("%s %d,", name, n.resources.Slots[name])
	}
	s.ready.push(d, readyItem{n.priority, n.index})
}

func (s *scheduler) gpus(n *node) int { return n.gpus(s.r.plan.reports[n.instance]) }

func (s *scheduler) fits(n *node) bool {
	if n.atOnce > 0 && s.instances[n.stage] >= n.atOnce {
		return false
	}
	for name, count := range n.resources.Slots {
		if count > s.free.Slots[name] {
			return false
		}
	}
	return n.resources.CPU <= s.free.CPU && s.gpus(n) <= s.free.GPU && n.resources.Memory <= s.free.Memory
}

// take counts n as running (sign 1) or ended (-1).
func (s *scheduler) take(n *node, sign int) {
	s.running += sign
	s.free.CPU -= sign * n.resources.CPU
	s.free.GPU -= sign * s.gpus(n)
	s.free.Memory -= int64(sign) * n.resources.Memory
	s.instances[n.stage] += sign
	for name, count := range n.resources.Slots {
		s.free.Slots[name] -= sign * count
	}
}

// end takes in how a node ended and decides about its readers.
func (s *scheduler) end(ctx context.Context, f finished) error {
	s.r.results[f.index] = f.result
	s.r.forget(f.index)
	if f.result.outcome == state.Pending || f.result.outcome == state.Interrupted {
		return nil // of an interrupted run; its readers stay pending
	}
	n := s.r.nodes[f.index]
	if f.result.outcome == state.Failed {
		s.fail(n)
	}
	s.settled = append(s.settled, f.index)
	return s.spread(ctx)
}

// fail ends what is ready, unless the failure of n is forgiven.
func (s *scheduler) fail(n *node) {
	if !n.continueOnError && !s.r.e.opts.KeepGoing && s.failed == "" {
		s.failed = n.instance
		s.dropReady()
	}
}

// forget lets go of what only the work on a node needed: a run of thousands of stages keeps of each
// how it ended and where its outputs are.
func (r *run) forget(i int) {
	r.plan.decisions[i].identity = identity{}
	s := &r.stages[i]
	s.With, s.Changes, s.Facts, s.Needs = nil, nil, nil, nil
}

// dropReady ends what is ready as cancelled, but for what has begun and what runs whatever happens.
func (s *scheduler) dropReady() {
	lanes := s.ready
	s.ready = readyLanes{}
	for _, lane := range lanes {
		for _, item := range lane.items {
			_, began := s.between[item.index]
			switch n := s.r.nodes[item.index]; {
			case began, n.asksEnds():
				s.wait(n)
			case s.r.results[item.index].outcome == "": // else it was interrupted while it waited for its turn
				s.cancel(item.index)
			}
		}
	}
}

func (s *scheduler) cancel(i int) {
	s.r.results[i] = result{outcome: state.Cancelled, cause: s.failed}
	s.r.stages[i].Reason = fmt.Sprintf("not started: stage %s had failed", s.failed)
	s.r.stages[i].Cause = s.failed
	s.settled = append(s.settled, i)
}

// spread looks at the readers of what has settled. What therefore ends without running is stored,
// all of it in one transaction.
func (s *scheduler) spread(ctx context.Context) error {
	var over []int
	for len(s.settled) > 0 {
		i := s.settled[0]
		s.settled = s.settled[1:]
		if o := s.r.results[i].outcome; s.r.stages[i].Outcome != o {
			s.r.stages[i].Outcome, s.r.stages[i].Ended = o, s.r.e.now()
			over = append(over, i)
		}
		for _, reader := range s.r.nodes[i].readers {
			if s.waiting[reader]--; s.waiting[reader] == 0 && s.r.results[reader].outcome == "" {
				s.consider(s.r.nodes[reader])
			}
		}
	}
	return s.store(ctx, over)
}

// consider decides about a node all of whose dependencies have ended.
func (s *scheduler) consider(n *node) {
	v := s.r.judge(n)
	switch {
	case v.outcome != "":
		s.r.results[n.index] = result{outcome: v.outcome, cause: v.cause}
		s.r.stages[n.index].Reason, s.r.stages[n.index].Error = v.reason, v.err
		s.settled = append(s.settled, n.index)
		if v.outcome == state.Failed {
			s.fail(n)
			return
		}
		s.r.stages[n.index].Cause = v.cause
	case s.failed != "" && !n.asksEnds():
		s.cancel(n.index)
	default:
		s.r.said[n.index] = v.said
		s.wait(n)
	}
}

func (s *scheduler) store(ctx context.Context, over []int) error {
	if len(over) == 0 {
		return nil
	}
	slices.Sort(over)
	err := s.r.update(ctx, func(tx *state.Tx) error {
		for _, i := range over {
			if err := tx.PutStage(s.r.stages[i]); err != nil {
				return err
			}
			if err := s.r.event(tx, s.r.ended(i, s.r.stages[i], 0)); err != nil {
				return err
			}
		}
		return nil
	})
	if err != nil {
		return err
	}
	for _, i := range over {
		s.r.emit(s.r.ended(i, s.r.stages[i], 0))
	}
	return nil
}
