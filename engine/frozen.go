package engine

import (
	"fmt"

	"github.com/so8t/so8t/plugins"
	"github.com/so8t/so8t/state"
)

// frozen decides about a stage that is not run: what it last made, or took from the cache, in a run
// of this workflow is used, whatever would be made now. What has changed is said all the same.
func (p *planner) frozen(tx *state.Tx, n *node, id identity, selected bool) (decision, error) {
	previous, known := p.previous[n.instance]
	var entry state.CacheEntry
	if known {
		var err error
		if entry, known, err = tx.Cache(previous.Fingerprint); err != nil {
			return decision{}, err
		}
	}
	why := ""
	switch damage := p.damaged[n.instance]; {
	case !known:
		why = "frozen, and it has made nothing yet"
	case damage != "":
		why = "frozen, and " + damage
	case n.refusal(entry.Metrics) != "":
		why = "frozen, and " + refusedReason(n.refusal(entry.Metrics), entry)
	}
	if why != "" {
		if !selected {
			return decision{action: ActionSkip, reason: why}, nil
		}
		return decision{action: ActionBlocked, cause: n.instance, reason: why}, nil
	}
	d := decision{action: ActionReuse, entry: entry, reason: "frozen: as in run " + entry.Run}
	d.identity = identity{fingerprint: previous.Fingerprint, parts: previous.Parts}
	if d.changes = id.diff(previous.Parts); len(d.changes) > 0 {
		d.reason += ", though " + changesText(d.changes)
	}
	return d, nil
}

// frozenProblems are frozen stages that were asked for and have nothing to use.
func (p *planner) frozenProblems(decisions []decision) []StageProblem {
	var out []StageProblem
	for _, n := range p.nodes {
		if d := decisions[n.index]; n.frozen && d.action == ActionBlocked && d.cause == n.instance {
			out = append(out, n.problem(plugins.Problem{Code: plugins.BadInput, Message: d.reason,
				Hint: "run it once without `frozen: true`"}))
		}
	}
	return out
}

// refuseFrozen is an error when one of the named stages is frozen: nothing but its file makes it run.
func refuseFrozen(nodes []*node, selectors []string) error {
	for _, name := range selectors {
		for _, n := range matching(nodes, name) {
			if n.frozen && (name == n.stage || name == n.instance) {
				return &SelectionError{Message: fmt.Sprintf("stage %q is frozen and is not run; remove `frozen: true` first", n.instance)}
			}
		}
	}
	return nil
}
