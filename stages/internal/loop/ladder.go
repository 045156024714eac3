package loop

import (
	"errors"
	"fmt"

	"github.com/so8t/so8t/stages/internal/backend"
)

// The ladder: a backend that runs out of memory in a step gets the same rows in micro-batches
// of half the size, again and again down to one row. The rows of a step, their order, their
// dropout and what the loss is divided by stay, so the curve changes by rounding only. The
// rung is part of the state: a run that is continued stays on it.

// part is the number of rows of a micro-batch that was meant to have n.
func part(n, halvings int) int { return max(1, (n+1<<halvings-1)>>halvings) }

// resize makes feed and validation those of the rung.
func (t *trainer) resize() {
	t.feed.halvings = t.at.Halvings
	size := t.run.Settings.Size
	size.Rows = part(size.Rows, t.at.Halvings)
	if size.Tokens > 0 {
		size.Tokens = part(size.Tokens, t.at.Halvings)
	}
	t.eval = batches(t.run.Validation, size)
}

// descend goes one rung down after err, when it is about memory and there is a rung. It
// reports whether what failed should be tried again.
func (t *trainer) descend(err error) bool {
	if !errors.Is(err, backend.ErrOutOfMemory) {
		return false
	}
	most := 0
	for _, b := range t.feed.window(t.at.Position).batches {
		most = max(most, len(b.Packing.Segments))
	}
	for _, b := range t.eval {
		most = max(most, len(b.Packing.Segments))
	}
	t.scope.End()
	t.opt.params.ZeroGrad()
	if most <= 1 || !t.run.Backend.Recover() {
		return false
	}
	t.at.Halvings++
	t.resize()
	t.warn(fmt.Sprintf("after step %d: %v; micro-batches of at most %d rows from here on, the rows of a step stay the same",
		t.at.Step, err, part(most, 1)))
	return true
}

func (t *trainer) warn(message string) {
	if t.run.Warn != nil {
		t.run.Warn(message)
	}
}
