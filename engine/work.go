package engine

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"maps"

	"github.com/so8t/so8t/engine/workflow"
	"github.com/so8t/so8t/plugins"
	"github.com/so8t/so8t/state"
)

// work does what one node needs: it reuses what was done meanwhile, or tries until it is done or
// is not to be tried again. It holds the lock of the node's fingerprint all the time.
func (r *run) work(ctx context.Context, n *node) (result, error) {
	w, err := r.prepare(ctx, n)
	if err != nil {
		return result{}, err
	}
	if err := w.readjust(ctx); err != nil {
		return result{}, err
	}
	lock, err := r.lock(ctx, w)
	if err != nil {
		if r.stopping(ctx) {
			return result{outcome: state.Pending}, nil
		}
		return result{}, err
	}
	w.lock = lock
	defer func() { _ = w.lock.GiveUp() }() // the lock dies with the process anyway
	if err := w.look(ctx); err != nil {
		return result{}, err
	}
	res, err := w.reuseOrTry(ctx)
	if err == nil && (res.outcome == state.Succeeded || res.outcome == state.Cached) {
		r.publish(ctx, n, res.outputs)
	}
	return res, err
}

// work on one node.
type work struct {
	r        *run
	n        *node
	record   *state.StageRecord
	identity identity
	facts    map[string]string
	with     json.RawMessage
	forced   bool
	// inputs are the digests of the user's paths that identity holds.
	inputs pathDigests
	// unusable says why no attempt can be made of what the user gave.
	unusable error
	holder   state.Holder
	// entry is what can be reused after all.
	entry *state.CacheEntry
	// refusal by the gates of the entry.
	refusal string
	// adjustedWork is there when the entry is that of work that had to be adjusted.
	adjustedWork *adjustedWork
	// number of the latest attempt in this run; 0 = none yet.
	number int
	// lock of the fingerprint that identity has.
	lock *state.FingerprintLock
	// source is with as the workflow has it, and adjusted what the stage proposed instead, when it did.
	source   *workflow.Value
	adjusted map[string]json.RawMessage
	// devices are the ids of the GPUs that are leased for the work.
	devices []string
}

// prepare resolves with and computes the fingerprint, now that every input is there.
func (r *run) prepare(ctx context.Context, n *node) (*work, error) {
	d := r.plan.decisions[n.index]
	w := &work{r: r, n: n, record: &r.stages[n.index], identity: d.identity, facts: d.facts}
	w.forced = r.plan.selection.selected(n) && r.plan.selection.forced(n)
	w.holder = state.Self(r.e.opts.Command, r.id)
	w.number = w.record.Attempts
	if report, ok := r.plan.reports[n.instance]; ok {
		w.facts = report.Facts
	}
	told := w.addOutcomes()
	stale := w.readInputs(ctx)
	var err error
	if told || stale || d.identity.fingerprint == "" || d.action != ActionRun {
		w.identity, err = n.identify(r.e.opts.ProjectDir, r.lookup(n), w.inputs.digest, w.facts)
		if err != nil {
			return nil, err
		}
	}
	if w.identity.fingerprint == "" {
		return nil, fmt.Errorf("stages %v have ended without their outputs", w.identity.waits)
	}
	w.with, err = n.resolve(r.e.opts.ProjectDir, r.lookup(n)).json()
	return w, err
}

// outcomeFact is the fact that tells a stage with a `when` how a stage before it ended that left
// nothing: it may do something else then, so it is part of the fingerprint.
const outcomeFact = "outcome."

// addOutcomes adds those facts: "failed: out of memory", "skipped: no server", "blocked: train".
// True when the stage is one that is told.
func (w *work) addOutcomes() bool {
	if !w.n.asksEnds() {
		return false
	}
	facts := maps.Clone(w.facts)
	for _, i := range w.n.needs {
		switch outcome := w.r.results[i].outcome; outcome {
		case state.Succeeded, state.Cached:
		default:
			if facts == nil {
				facts = map[string]string{}
			}
			facts[outcomeFact+w.r.nodes[i].instance] = outcomeText(w.r.stages[i])
		}
	}
	w.facts = facts
	return true
}

func outcomeText(s state.StageRecord) string {
	text := string(s.Outcome)
	switch {
	case s.Cause != "":
		return text + ": " + s.Cause
	case s.Error != nil:
		return text + ": " + s.Error.Message
	case s.Reason != "":
		return text + ": " + s.Reason
	}
	return text
}

// lookup answers with the outputs of the nodes that n depends on, all of which have ended.
func (r *run) lookup(n *node) lookup {
	return func(ref outputRef) upstream {
		for _, i := range n.needs {
			if r.nodes[i].instance == ref.instance {
				return r.e.output(r.results[i].outputs, ref.output)
			}
		}
		return upstream{state: absent}
	}
}

func (r *run) stopping(ctx context.Context) bool {
	return ctx.Err() != nil || r.control.Interrupted() != ""
}

// lock waits until nobody else works on the fingerprint.
func (r *run) lock(ctx context.Context, w *work) (*state.FingerprintLock, error) {
	var lock *state.FingerprintLock
	err := r.untilStopped(ctx, func(ctx context.Context) error {
		var err error
		lock, err = state.LockFingerprint(ctx, r.e.store.Dir(), w.identity.fingerprint, w.holder, func(h state.Holder) {
			r.emit(Event{Kind: Warned, Stage: w.n.stage, Instance: w.n.instance,
				Message: fmt.Sprintf("waits: %s works on the same (run %s)", h, h.Run)})
		})
		return err
	})
	if err == nil {
		r.locked[w.n.index] = w.identity.fingerprint
	}
	return lock, err
}

// look reads what is known of the fingerprint, and says why the stage runs.
func (w *work) look(ctx context.Context) error {
	if w.unusable != nil { // nothing is known of what there is now
		return nil
	}
	var entry state.CacheEntry
	var found bool
	var adjusted *adjustedWork
	err := w.r.e.store.View(ctx, func(tx *state.Tx) error {
		var err error
		if !w.forced {
			if entry, found, err = tx.Cache(w.identity.fingerprint); err != nil || found {
				return err
			}
		}
		previous, ran, err := tx.LatestParts(w.r.record.Workflow, w.n.instance)
		if err != nil {
			return err
		}
		if !w.forced {
			if adjusted, err = w.n.adjustedBefore(tx, w.identity.fingerprint, previous); err != nil {
				return err
			}
		}
		var changes []Change
		if ran {
			changes = w.identity.diff(previous.Parts)
		}
		w.record.Changes = stateChanges(changes)
		switch {
		case w.forced:
			w.record.Reason = forcedText(changes)
			return nil
		case len(changes) > 0:
			w.record.Reason = changesText(changes)
			return nil
		}
		w.record.Reason, err = unfinishedReason(tx, w.identity.fingerprint, previous)
		return err
	})
	if err != nil || !found && adjusted == nil {
		return err
	}
	if adjusted != nil {
		entry = adjusted.entry
	}
	if err := w.r.e.verifyEntry(ctx, entry); err != nil {
		w.record.Reason = damageText(err, entry)
		return nil
	}
	refusal, again := w.refuseEntry(entry)
	if again {
		w.record.Reason = refusedReason(refusal, entry)
		return nil
	}
	w.entry, w.refusal, w.adjustedWork = &entry, refusal, adjusted
	return nil
}

// reuseOrTry ends the node as cached, or makes attempts.
func (w *work) reuseOrTry(ctx context.Context) (result, error) {
	if w.entry == nil {
		w.record.Reason = and(w.record.Reason, w.r.said[w.n.index])
		return w.tries(ctx)
	}
	res, err := w.take(ctx)
	if !errors.Is(err, state.ErrCollected) {
		return res, err
	}
	return w.tries(ctx)
}

// take ends the node by what can be reused: as cached, or as failed when the gates refuse it. What a
// collection has removed meanwhile is state.ErrCollected, and there is nothing to reuse any more.
func (w *work) take(ctx context.Context) (result, error) {
	end := w.reuse
	if w.refusal != "" {
		end = w.refused
	}
	before := *w.record
	res, err := end(ctx)
	if errors.Is(err, state.ErrCollected) {
		*w.record = before
		w.record.Reason = fmt.Sprintf("its outputs in run %s have been removed by a collection", w.entry.Run)
		w.entry, w.refusal, w.adjustedWork = nil, "", nil
	}
	return res, err
}

// reuse ends the node as cached.
func (w *work) reuse(ctx context.Context) (result, error) {
	r := w.r
	how := ""
	if w.adjustedWork != nil {
		how, w.record.With = w.adjustedWork.how, w.adjustedWork.with
	}
	w.record.Reason, w.record.Changes = and(and("unchanged since run "+w.entry.Run, how), r.said[w.n.index]), nil
	r.setCached(w.record, *w.entry, entryIdentity(*w.entry, w.identity).fingerprint)
	w.record.Facts = w.facts
	if err := r.putEnded(ctx, w); err != nil {
		return result{}, err
	}
	return result{outcome: state.Cached, outputs: w.entry.Outputs, metrics: w.entry.Metrics}, nil
}

// putEnded stores the end of a node that made no attempt.
func (r *run) putEnded(ctx context.Context, w *work) error {
	event := r.ended(w.n.index, *w.record, 0)
	err := r.update(ctx, func(tx *state.Tx) error {
		if err := tx.PutStage(*w.record); err != nil {
			return err
		}
		if err := r.putParts(tx, w.n, entryIdentity(*w.entry, w.identity)); err != nil {
			return err
		}
		return r.event(tx, event)
	})
	if err == nil {
		r.emit(event)
	}
	return err
}

// tries makes attempts until one is the last.
func (w *work) tries(ctx context.Context) (result, error) {
	r := w.r
	w.record.Started = r.e.now()
	for try := 1; ; try++ {
		a := &attempt{work: w, number: w.number + 1, try: try}
		made, err := a.leased(ctx)
		switch {
		case err != nil:
			return result{}, err
		case !made && try == 1:
			return result{outcome: state.Pending}, nil
		case !made:
			return w.interrupted(ctx)
		}
		w.number = a.number
		if a.retry == 0 {
			return w.result(), nil
		}
		// Another instance of the same work, or another engine, may have our job meanwhile.
		if err := w.lock.GiveUp(); err != nil {
			return result{}, err
		}
		if !r.pause(ctx, w.n, a.retry) {
			return w.interrupted(ctx)
		}
		if err := w.again(ctx, a.proposal); err != nil {
			if r.stopping(ctx) {
				return w.interrupted(ctx)
			}
			return result{}, err
		}
		if w.entry == nil {
			continue
		}
		if res, err := w.take(ctx); !errors.Is(err, state.ErrCollected) {
			return res, err
		}
	}
}

// leased makes the attempt with the devices that its node asks for; false when the run was interrupted
// before it had them. It has them for no longer: a node that waits for another try, or for a lock
// whose holder may wait for a device, holds none.
func (a *attempt) leased(ctx context.Context) (made bool, err error) {
	devices, err := a.lease(ctx)
	if err != nil {
		if a.r.stopping(ctx) {
			return false, nil
		}
		return false, fmt.Errorf("waiting for a GPU: %w", err)
	}
	return true, errors.Join(a.do(ctx), devices.Release())
}

// result is how the node's record says that it ended.
func (w *work) result() result {
	res := result{outcome: w.record.Outcome, outputs: w.record.Outputs, metrics: w.record.Metrics}
	if res.outcome == state.Failed {
		res.cause = w.n.instance
	}
	return res
}

// interrupted ends a node between two tries.
func (w *work) interrupted(ctx context.Context) (result, error) {
	w.record.Outcome, w.record.Ended = state.Interrupted, w.r.e.now()
	w.record.Error = &state.ErrorRecord{Code: string(plugins.Cancelled), Message: errStopped.Error()}
	event := w.r.ended(w.n.index, *w.record, w.number)
	err := w.r.update(ctx, func(tx *state.Tx) error {
		if err := tx.PutStage(*w.record); err != nil {
			return err
		}
		return w.r.event(tx, event)
	})
	if err != nil {
		return result{}, err
	}
	w.r.emit(event)
	return w.result(), nil
}
