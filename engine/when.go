package engine

import (
	"errors"
	"fmt"

	"github.com/so8t/so8t/engine/workflow"
	"github.com/so8t/so8t/state"
)

// end is how a node ended.
type end struct {
	outcome state.Outcome
	metrics state.Metrics
}

// ends knows how nodes ended, by their index; false for one that has yet to.
type ends func(i int) (end, bool)

// answer is what an expression of `when` says for one instance.
type answer struct {
	yes bool
	// said is the expression and what it found: `when: loss < 2 — loss was 2.31`.
	said string
	// pending is a node that it asks about and that has yet to end.
	pending string
	// err says why there is no answer. missing is the node because of which a value is not there
	// that it needs, or -1.
	err     error
	missing int
}

// asksEnds: the node is looked at whatever became of those it depends on, and is told of it.
func (n *node) asksEnds() bool {
	return n.when == whenAlways || n.when == whenFailure || n.condition != nil && n.condition.AsksEnds
}

// broke: the end keeps those from running that depend on n.
func (n *node) broke(o state.Outcome) bool {
	switch o {
	case state.Succeeded, state.Cached, state.Skipped:
		return false
	case state.Failed:
		return !n.continueOnError // treated like a skipped one
	}
	return true
}

// question is one asking of an expression.
type question struct {
	nodes   []*node
	n       *node
	ends    ends
	pending string
	missing int
}

var errPending = errors.New("not known yet")

// ask evaluates the expression of n. What it passes over (`params.x or …`) need not be known.
func (n *node) ask(nodes []*node, ends ends) answer {
	q := &question{nodes: nodes, n: n, ends: ends, missing: -1}
	yes, found, err := n.condition.Eval(n.place, q.find)
	a := answer{yes: yes, said: "when: " + n.condition.Text, missing: q.missing}
	if errors.Is(err, errPending) {
		a.pending = q.pending
		return a
	}
	if err != nil {
		a.err = err
		a.said += " — " + err.Error()
	} else if len(found) > 0 {
		a.said += " — " + workflow.Shown(found)
	}
	return a
}

func (q *question) find(r workflow.Reading) (any, error) {
	if r.Kind == workflow.ReadSuccess || r.Kind == workflow.ReadFailure {
		failed, err := q.failed()
		return failed == (r.Kind == workflow.ReadFailure), err
	}
	var outcomes []string
	var metrics []float64
	for _, i := range q.n.needs {
		if q.nodes[i].stage != r.Stage {
			continue
		}
		e, err := q.end(i)
		if err != nil {
			return nil, err
		}
		outcomes = append(outcomes, outcomeWord(e.outcome))
		if r.Kind != workflow.ReadMetric {
			continue
		}
		value, measured := e.metrics[r.Name]
		switch {
		case measured:
			metrics = append(metrics, value)
		case r.Collected && (e.outcome == state.Succeeded || e.outcome == state.Cached):
			return nil, fmt.Errorf("stage %s did not report %s", q.nodes[i].instance, r.Name)
		default:
			q.misses(i)
		}
	}
	switch {
	case r.Kind == workflow.ReadOutcome && r.Collected:
		return outcomes, nil
	case r.Kind == workflow.ReadOutcome:
		return outcomes[0], nil
	case r.Collected:
		return metrics, nil
	case len(metrics) == 0:
		return nil, nil
	}
	return metrics[0], nil
}

// misses notes a node whose metric is not there, first of all one that broke.
func (q *question) misses(i int) {
	if q.missing < 0 || q.broke(i) && !q.broke(q.missing) {
		q.missing = i
	}
}

func (q *question) broke(i int) bool {
	e, _ := q.ends(i)
	return q.nodes[i].broke(e.outcome)
}

func (q *question) end(i int) (end, error) {
	e, known := q.ends(i)
	if !known {
		q.pending = q.nodes[i].instance
		return e, errPending
	}
	return e, nil
}

// failed tells whether one that n depends on did.
func (q *question) failed() (bool, error) {
	for _, i := range q.n.needs {
		e, err := q.end(i)
		if err != nil {
			return false, err
		}
		if q.nodes[i].broke(e.outcome) {
			return true, nil
		}
	}
	return false, nil
}

// outcomeWord is an outcome as expressions have it: whether a stage ran or was reused makes no
// difference to those that depend on it.
func outcomeWord(o state.Outcome) string {
	if o == state.Cached {
		return string(state.Succeeded)
	}
	return string(o)
}

// whenEnds are the ends of the nodes of a run.
func (r *run) whenEnds(i int) (end, bool) {
	res := r.results[i]
	return end{res.outcome, res.metrics}, res.outcome != ""
}

// answered is what an expression means to its node, now that all it depends on has ended.
//
// A metric that is not there because its stage failed blocks the node, as that failure would by
// default; one whose stage was skipped skips it; one that a stage which succeeded did not report,
// and anything else that has no answer, is a mistake of the workflow and fails it.
func (r *run) answered(n *node) verdict {
	a := n.ask(r.nodes, r.whenEnds)
	switch {
	case a.err == nil && a.yes:
		return verdict{said: a.said}
	case a.err == nil:
		return verdict{outcome: state.Skipped, reason: a.said}
	case a.missing >= 0 && r.nodes[a.missing].broke(r.results[a.missing].outcome):
		cause := r.results[a.missing].cause
		return verdict{outcome: state.Blocked, reason: "blocked by stage " + cause + "; " + a.said, cause: cause}
	case a.missing >= 0 && r.results[a.missing].outcome != state.Succeeded && r.results[a.missing].outcome != state.Cached:
		need := r.nodes[a.missing]
		return verdict{outcome: state.Skipped, reason: fmt.Sprintf("%s: stage %s %s", a.said, need.instance, outcomeWord(r.results[a.missing].outcome))}
	}
	return verdict{outcome: state.Failed, reason: a.said, cause: n.instance, err: badWhen(a)}
}

// byWhen decides about a node by its expression, as far as that is known before anything runs; said
// is what a decision to run or to reuse it rests on.
func (p *planner) byWhen(n *node, decisions []decision) (d decision, said string, decided bool) {
	a := n.ask(p.nodes, func(i int) (end, bool) {
		switch need := decisions[i]; {
		case need.action == ActionReuse:
			return end{state.Cached, need.entry.Metrics}, true
		case need.action == ActionSkip && p.nodes[i].when != whenFailure:
			return end{outcome: state.Skipped}, true
		}
		return end{}, false
	})
	switch {
	case a.pending != "":
		return decision{action: ActionRun, reason: fmt.Sprintf("%s, decided when stage %s has ended", a.said, a.pending)}, "", true
	case a.err == nil && a.yes:
		return decision{}, a.said, false
	case a.err == nil:
		return decision{action: ActionSkip, reason: a.said}, "", true
	}
	return decision{action: ActionRun, reason: a.said}, "", true // which fails, or is skipped, when its turn comes
}

// and adds what an expression found to a reason.
func and(reason, said string) string {
	if said == "" {
		return reason
	}
	return reason + "; " + said
}
