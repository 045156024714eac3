package engine

import (
	"fmt"
	"maps"
	"slices"

	"github.com/so8t/so8t/state"
)

// verdict is what the ends of its dependencies mean to a node: an outcome without running, or,
// when outcome is "", that it runs.
type verdict struct {
	outcome state.Outcome
	reason  string
	cause   string
	err     *state.ErrorRecord // of a failed one
	said    string             // by an expression, of one that runs
}

// judge applies `when` to how the dependencies of n ended (rules 36 and 36a).
func (r *run) judge(n *node) verdict {
	var broken, absentOf string
	failed := false
	for _, i := range n.needs {
		need, res := r.nodes[i], r.results[i]
		switch res.outcome {
		case state.Succeeded, state.Cached:
		default:
			if !need.broke(res.outcome) {
				absentOf = need.instance
				continue
			}
			failed = true
			if broken == "" {
				broken = res.cause
			}
		}
	}
	if n.condition != nil && (!failed || n.condition.AsksEnds) {
		return r.answered(n)
	}
	switch n.when {
	case whenAlways:
		return verdict{}
	case whenFailure:
		if !failed {
			return verdict{outcome: state.Skipped, reason: "no stage it depends on failed"}
		}
		return verdict{}
	}
	if failed {
		return verdict{outcome: state.Blocked, reason: "blocked by stage " + broken, cause: broken}
	}
	if absentOf != "" {
		if ref, reads := r.readsAbsent(n); reads {
			return verdict{outcome: state.Skipped, reason: fmt.Sprintf("reads %s of stage %s, which was not made", ref.output, ref.instance)}
		}
	}
	return verdict{}
}

// readsAbsent finds an output in n's with whose stage did not run through.
func (r *run) readsAbsent(n *node) (outputRef, bool) {
	for _, ref := range outputRefs(n.with, nil) {
		for _, i := range n.needs {
			if r.nodes[i].instance != ref.instance {
				continue
			}
			if o := r.results[i].outcome; o != state.Succeeded && o != state.Cached {
				return ref, true
			}
		}
	}
	return outputRef{}, false
}

// outputRefs lists the outputs inside a with.
func outputRefs(v any, into []outputRef) []outputRef {
	switch v := v.(type) {
	case map[string]any:
		for _, name := range slices.Sorted(maps.Keys(v)) {
			into = outputRefs(v[name], into)
		}
	case []any:
		for _, child := range v {
			into = outputRefs(child, into)
		}
	case concat:
		for _, part := range v {
			into = outputRefs(part, into)
		}
	case outputRef:
		into = append(into, v)
	}
	return into
}
