package engine

import (
	"context"
	"strings"

	"github.com/so8t/so8t/engine/workflow"
	"github.com/so8t/so8t/plugins"
	"github.com/so8t/so8t/state"
)

// Gates judge a result, they are no part of what makes it: they are in no fingerprint, and what
// they refuse is kept. An attempt whose result is refused has succeeded, and its outputs can be
// reused; its stage has failed. So a gate that was edited judges the result that there is, and
// nothing is made again.

// refusal says which gates of n refuse the metrics of a result, and why; "" when all hold.
func (n *node) refusal(metrics state.Metrics) string {
	var refused []string
	for _, gate := range n.gates {
		holds, found, err := gate.Eval(n.place, func(r workflow.Reading) (any, error) {
			if v, measured := metrics[r.Name]; measured {
				return v, nil
			}
			return nil, nil
		})
		switch {
		case err != nil:
			refused = append(refused, gate.Text+": "+err.Error())
		case !holds && len(found) == 0:
			refused = append(refused, gate.Text)
		case !holds:
			refused = append(refused, gate.Text+": "+workflow.Shown(found))
		}
	}
	return strings.Join(refused, "; ")
}

// judged is the decision about a node whose work is done, by its gates as they are now.
func (n *node) judged(entry state.CacheEntry, selected bool, said string) decision {
	refusal := n.refusal(entry.Metrics)
	switch {
	case refusal == "":
		return decision{action: ActionReuse, reason: and("unchanged since run "+entry.Run, said), entry: entry}
	case !selected:
		return decision{action: ActionSkip, reason: refusedReason(refusal, entry)}
	}
	return decision{action: ActionRun, reason: refusedReason(refusal, entry)}
}

func gateError(refusal string) *state.ErrorRecord {
	return &state.ErrorRecord{Code: string(plugins.Gate), Message: refusal}
}

// refuse makes the stage of an attempt whose result the gates refuse a failed one, or has it tried
// again where `retry.on` names gates.
func (a *attempt) refuse(s *state.StageRecord) {
	failure := gateError(a.refused)
	a.record.Error, s.Error, s.Outcome, s.Outputs = failure, failure, state.Failed, nil
	a.failed(failure, s)
}

// refuseEntry: what could be reused is refused, and making it again is not asked for.
func (w *work) refuseEntry(entry state.CacheEntry) (refusal string, again bool) {
	refusal = w.n.refusal(entry.Metrics)
	return refusal, refusal != "" && w.n.retry.again(1, plugins.Gate)
}

// refused ends the node as failed by what it could have reused.
func (w *work) refused(ctx context.Context) (result, error) {
	r := w.r
	r.setCached(w.record, *w.entry, entryIdentity(*w.entry, w.identity).fingerprint)
	w.record.Outcome, w.record.Outputs, w.record.Facts = state.Failed, nil, w.facts
	w.record.Reason, w.record.Error = refusedReason(w.refusal, *w.entry), gateError(w.refusal)
	if err := r.putEnded(ctx, w); err != nil {
		return result{}, err
	}
	return w.result(), nil
}

func refusedReason(refusal string, entry state.CacheEntry) string {
	return "the result of run " + entry.Run + " is refused: " + refusal
}

// badWhen is the error of a stage whose `when` has no answer.
func badWhen(a answer) *state.ErrorRecord {
	return &state.ErrorRecord{Code: string(plugins.BadInput), Message: a.said}
}
