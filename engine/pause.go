package engine

import (
	"context"
	"time"
)

// shortWait is a wait between two tries that is not worth giving up what a stage holds: to start
// another one takes as long.
const shortWait = 50 * time.Millisecond

// tryAgain is what a stage tells the scheduler between two tries: that it waits and needs nothing
// meanwhile (turn is nil), or that its wait is over, and turn is to be closed when it may go on.
type tryAgain struct {
	index int
	turn  chan struct{}
}

// pause waits before the next try. Meanwhile the job, the slots and the resources of the node are
// others'; it has them again when pause returns true. False: the run was interrupted.
func (r *run) pause(ctx context.Context, n *node, d time.Duration) bool {
	over := make(chan struct{})
	timer := time.AfterFunc(d, func() { close(over) })
	defer timer.Stop()
	if d < shortWait {
		return r.await(ctx, over)
	}
	r.tryAgain <- tryAgain{index: n.index}
	if !r.await(ctx, over) {
		return false
	}
	turn := make(chan struct{})
	r.tryAgain <- tryAgain{n.index, turn}
	return r.await(ctx, turn)
}

// await waits until c is closed; false when the run was interrupted meanwhile.
func (r *run) await(ctx context.Context, c <-chan struct{}) bool {
	select {
	case <-c:
		return true
	case <-r.control.stop:
	case <-ctx.Done():
	}
	return false
}

// heed takes in what a stage says between two tries.
func (s *scheduler) heed(t tryAgain) {
	n := s.r.nodes[t.index]
	s.between[t.index] = t.turn
	if t.turn == nil {
		s.take(n, -1)
		return
	}
	s.wait(n)
}

// goOn lets a node that waited make its next try; false when it has yet to begin.
func (s *scheduler) goOn(n *node) bool {
	turn, began := s.between[n.index]
	if began {
		delete(s.between, n.index)
		close(turn)
	}
	return began
}

// release frees what a node that has ended held: nothing, when it was interrupted between two tries.
func (s *scheduler) release(i int) {
	if _, waits := s.between[i]; waits {
		delete(s.between, i)
		return
	}
	s.take(s.r.nodes[i], -1)
}
