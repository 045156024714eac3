package engine

import (
	"cmp"
	"context"
	"errors"

	"github.com/so8t/so8t/plugins"
	"github.com/so8t/so8t/state"
)

// timeline is what the attempts of all that n depends on took, in the order of the plan, for a stage
// that asks for it. Of what is reused it is the attempt that made it, in its run.
func (r *run) timeline(ctx context.Context, n *node) ([]plugins.Span, error) {
	if !n.plugin.description.Timeline {
		return nil, nil
	}
	above := make([]bool, len(r.nodes))
	r.markAbove(n, above)
	var spans []plugins.Span
	err := r.e.store.View(ctx, func(tx *state.Tx) error {
		for i, is := range above {
			if !is {
				continue
			}
			of, err := spansOf(tx, r.stages[i])
			if err != nil {
				return err
			}
			spans = append(spans, of...)
		}
		return nil
	})
	return spans, err
}

func (r *run) markAbove(n *node, above []bool) {
	for _, i := range n.needs {
		if !above[i] {
			above[i] = true
			r.markAbove(r.nodes[i], above)
		}
	}
}

// spansOf are the attempts of one stage that has ended, and that of another run whose outputs it
// reuses; one span without times when there is none, or when a collection has taken it.
func spansOf(tx *state.Tx, s state.StageRecord) ([]plugins.Span, error) {
	var spans []plugins.Span
	for number := 1; number <= s.Attempts; number++ {
		a, err := tx.Attempt(s.Run, s.Instance, number)
		if err != nil {
			return nil, err
		}
		spans = append(spans, spanOf(plugins.Span{Instance: s.Instance, Outcome: string(a.Outcome), Attempt: number}, a))
	}
	if s.Outcome == state.Cached {
		a, err := tx.Attempt(s.FromRun, cmp.Or(s.FromInstance, s.Instance), s.FromAttempt)
		if err != nil && !errors.Is(err, state.ErrNotFound) {
			return nil, err
		}
		spans = append(spans, spanOf(plugins.Span{Instance: s.Instance, Outcome: string(s.Outcome), Attempt: s.FromAttempt, Run: s.FromRun}, a))
	}
	if spans == nil {
		spans = []plugins.Span{{Instance: s.Instance, Outcome: string(s.Outcome)}}
	}
	return spans, nil
}

// spanOf adds when an attempt was made and what it took.
func spanOf(s plugins.Span, a state.Attempt) plugins.Span {
	s.Started, s.Ended = a.Started, a.Ended
	s.CPU, s.PeakRSS, s.Read, s.Written = a.CPUTime, a.PeakRSS, a.BytesRead, a.BytesWritten
	return s
}
