package engine

import (
	"context"
	"encoding/json"
	"fmt"
	"maps"
	"strings"

	"github.com/so8t/so8t/engine/workflow"
	"github.com/so8t/so8t/plugins"
	"github.com/so8t/so8t/state"
)

// A stage that fails may propose other parameters for the next try: smaller batches after it ran out
// of memory. The stage proposes, the engine records: what is proposed must fit the stage's schema, it
// stands in the attempt's record and in what explain says, and the work is kept under the
// fingerprint of what really ran. That is the old one when the schema says that the fields change
// no bytes. A resumed run goes on with what the last attempt was tried with.

// again prepares the next try: it takes the lock that the wait let go of, under which the work may have
// been done meanwhile, and takes up what the stage proposes.
func (w *work) again(ctx context.Context, proposal map[string]json.RawMessage) error {
	reason, changes := w.record.Reason, w.record.Changes
	if err := w.relock(ctx); err != nil || w.entry != nil {
		return err
	}
	w.record.Reason, w.record.Changes = reason, changes
	if len(proposal) == 0 {
		return nil
	}
	return w.adjust(ctx, proposal)
}

// adjust takes up a proposal for the next attempt. What does not fit is told, and the next attempt is
// made as before.
func (w *work) adjust(ctx context.Context, proposal map[string]json.RawMessage) error {
	n, id, err := w.proposed(proposal)
	if err != nil {
		w.warn(fmt.Sprintf("the stage proposes to try again with %s, which cannot be: %v", proposalText(proposal), err))
		return nil
	}
	changes := w.adjusting(n, proposal)
	if w.adjusted == nil {
		w.adjusted = map[string]json.RawMessage{}
	}
	maps.Copy(w.adjusted, proposal)
	other := id.fingerprint != w.identity.fingerprint
	w.n, w.identity = n, id
	if w.with, err = n.resolve(w.r.e.opts.ProjectDir, w.r.lookup(n)).json(); err != nil {
		return err
	}
	reason := w.record.Reason
	if other && w.lock != nil {
		if err := w.relock(ctx); err != nil || w.entry != nil {
			return err
		}
	}
	w.record.Reason = fmt.Sprintf("%s; tried again with %s, as the stage proposed", reason, changesText(changes))
	w.record.Changes = append(w.record.Changes, stateChanges(changes)...)
	w.record.With = n.withText()
	return nil
}

// proposed is the node with what is proposed.
func (w *work) proposed(proposal map[string]json.RawMessage) (*node, identity, error) {
	source := w.source
	if source == nil {
		source = w.r.plan.Workflow.with(w.n.instance)
	}
	texts := make(map[string]string, len(proposal))
	for field, value := range proposal {
		texts[field] = string(value)
		var text string
		if json.Unmarshal(value, &text) == nil {
			texts[field] = text
		}
	}
	with, err := workflow.Override(w.n.plugin.description.With, source, texts)
	if err != nil {
		return nil, identity{}, err
	}
	n := *w.n
	plain, _ := plainValue(with).(map[string]any)
	n.with = n.plugin.schema.withDefaults(plain)
	id, err := n.identify(w.r.e.opts.ProjectDir, w.r.lookup(w.n), w.inputs.digest, w.facts)
	if err == nil && len(id.missing) > len(w.identity.missing) {
		err = fmt.Errorf("field %q is an input", id.missing[0])
	}
	if err != nil {
		return nil, identity{}, err
	}
	w.source = with
	return &n, id, nil
}

// with is what the file, or a rerun, says an instance's parameters are.
func (w *Workflow) with(instance string) *workflow.Value {
	for _, n := range w.Nodes {
		if n.ID == instance {
			return n.With
		}
	}
	return nil
}

// adjusting lists what differs from the parameters so far.
func (w *work) adjusting(n *node, proposal map[string]json.RawMessage) []Change {
	var changes []Change
	for _, field := range sortedKeys(proposal) {
		from, _ := canonical(valueAt(w.n.with, field))
		to, _ := canonical(valueAt(n.with, field)) // what came from JSON encodes
		changes = append(changes, Change{Field: "with." + field, From: orNull(from), To: orNull(to)})
	}
	return changes
}

// relock lets go of the fingerprint that failed and takes the new one, whose work may have been done.
func (w *work) relock(ctx context.Context) error {
	if err := w.lock.Release(); err != nil {
		return err
	}
	lock, err := w.r.lock(ctx, w)
	if err != nil {
		return err
	}
	w.lock = lock
	return w.look(ctx)
}

// readjust takes up what the last attempt of this run was tried with and proposed, before an engine
// ended.
func (w *work) readjust(ctx context.Context) error {
	if w.number == 0 {
		return nil
	}
	var last state.Attempt
	err := w.r.e.store.View(ctx, func(tx *state.Tx) error {
		var err error
		last, err = tx.Attempt(w.r.id, w.n.instance, w.number)
		return err
	})
	before := maps.Clone(last.Adjusted)
	if before == nil {
		before = map[string]json.RawMessage{}
	}
	if maps.Copy(before, last.Proposed); err != nil || len(before) == 0 {
		return err
	}
	return w.adjust(ctx, before)
}

// warn tells of something about the work between two attempts.
func (w *work) warn(message string) {
	e := Event{Kind: Warned, Stage: w.n.stage, Instance: w.n.instance, Message: message}
	w.r.note(e)
	w.r.emit(e)
}

// proposalOf is what an error proposes, as JSON.
func proposalOf(e *plugins.Error) map[string]json.RawMessage {
	var out map[string]json.RawMessage
	for field, value := range e.RetryWith {
		text, err := canonical(value)
		if err != nil {
			continue // no JSON: nothing that a stage in another process could have sent
		}
		if out == nil {
			out = map[string]json.RawMessage{}
		}
		out[field] = text
	}
	return out
}

// valueAt is the value at a dotted field; nil when there is none.
func valueAt(with map[string]any, field string) any {
	var v any = with
	for name := range strings.SplitSeq(field, ".") {
		object, ok := v.(map[string]any)
		if !ok {
			return nil
		}
		v = object[name]
	}
	return withReferences(v)
}

func proposalText(proposal map[string]json.RawMessage) string {
	text, err := json.Marshal(proposal)
	if err != nil {
		return "something that is no JSON"
	}
	return string(text)
}
