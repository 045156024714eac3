package engine

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"strconv"

	"github.com/so8t/so8t/engine/workflow"
	"github.com/so8t/so8t/state"
)

// ResumeOptions say how to go on with a run.
type ResumeOptions struct {
	// AcceptChanges goes on though the workflow or a plugin is not what it was.
	AcceptChanges bool
	Control       *Control
}

// Resume continues a run under its id: run is an id, a unique part of one, or "" for the newest
// that was interrupted or failed. What it has done stays done.
func (e *Engine) Resume(ctx context.Context, name string, opts ResumeOptions) (*Outcome, error) {
	id, err := e.toResume(ctx, name)
	if err != nil {
		return nil, err
	}
	lock, err := state.LockRun(e.store.Dir(), id, state.Self(e.opts.Command, id))
	if err != nil {
		return nil, held(id, err)
	}
	defer lock.Release()
	if err := e.recoverDead(ctx); err != nil { // all others: this one is held, by us
		return nil, err
	}
	e.tellHooks(id, e.deliverDue(ctx, id)) // of the end that it had; it will have another
	w, extra, selection, err := e.recorded(ctx, id, opts.AcceptChanges)
	if err != nil {
		return nil, err
	}
	nodes, err := buildNodes(w)
	if err == nil && extra.Rerun != nil {
		nodes, err = w.repeated(nodes, extra.Rerun)
	}
	if err != nil {
		return nil, err
	}
	record, err := e.recoverRun(ctx, id, state.RunRunning)
	if err != nil {
		return nil, fmt.Errorf("taking over run %s: %w", id, err)
	}
	plan, err := e.planRest(ctx, id, w, nodes, selection, extra)
	var r *run
	if err == nil {
		r, err = e.stored(ctx, plan, record, opts.Control, (*run).reopen)
	}
	if err != nil {
		return nil, errors.Join(err, e.giveUp(ctx, record))
	}
	return r.execute(ctx)
}

// planRest plans what is left of a run. What was forced and has succeeded in it is done; what a
// rerun took from another run stays that.
func (e *Engine) planRest(ctx context.Context, id string, w *Workflow, nodes []*node, given Selection, extra runExtra) (*Plan, error) {
	selected, err := newSelection(nodes, given)
	if err != nil {
		return nil, err
	}
	if selected.done, err = e.succeeded(ctx, id, nodes); err != nil {
		return nil, err
	}
	var pins map[string]pin
	if extra.Rerun != nil {
		if pins, err = e.pins(ctx, id, nodes, selected); err != nil {
			return nil, err
		}
	}
	return e.plan(ctx, w, nodes, selected, pins)
}

// succeeded are the nodes that a run has done itself, also those whose result the gates refused.
func (e *Engine) succeeded(ctx context.Context, id string, nodes []*node) (map[int]bool, error) {
	done := map[int]bool{}
	err := e.store.View(ctx, func(tx *state.Tx) error {
		attempts, err := tx.RunAttempts(id)
		index := byInstance(nodes)
		for _, a := range attempts {
			if n := index[a.Instance]; n != nil && a.Outcome == state.Succeeded {
				done[n.index] = true
			}
		}
		return err
	})
	return done, err
}

// held turns the state's error into ours.
func held(run string, err error) error {
	var h *state.HeldError
	if errors.As(err, &h) {
		return &RunHeldError{Run: run, PID: h.Holder.PID, Host: h.Holder.Host}
	}
	return err
}

// giveUp leaves a run that was taken over as interrupted.
func (e *Engine) giveUp(ctx context.Context, record state.Run) error {
	record.State, record.Ended = state.RunInterrupted, e.now()
	return e.store.Update(ctx, func(tx *state.Tx) error { return tx.PutRun(record) })
}

// recorded reads the workflow of a run as it is now and compares it with what the run was started
// with. Comments and the like are no changes. A rerun goes on with what was recorded: it repeats that,
// whatever the file says.
func (e *Engine) recorded(ctx context.Context, id string, accept bool) (*Workflow, runExtra, Selection, error) {
	run, plan, extra, err := e.runPlan(ctx, id)
	if err != nil {
		return nil, extra, Selection{}, err
	}
	if plan.Source == "" {
		return nil, extra, Selection{}, fmt.Errorf("%w: the workflow of run %s is lost; so8t run WORKFLOW reuses what the run has done", ErrNothingToResume, id)
	}
	var params map[string]string
	if err := json.Unmarshal(plan.Params, &params); err != nil {
		return nil, extra, Selection{}, fmt.Errorf("reading the parameters of run %s: %w", id, err)
	}
	selection := parseSelection(plan.Selectors)
	source := []byte(plan.Source)
	if extra.Rerun == nil {
		source, err = workflow.ReadFile(absolute(e.opts.ProjectDir, run.File))
		if errors.Is(err, fs.ErrNotExist) {
			source, err = []byte(plan.Source), nil
		}
	}
	if err != nil {
		return nil, extra, selection, fmt.Errorf("reading workflow: %w", err)
	}
	now, err := e.parse(ctx, run.File, source, params)
	if err != nil {
		return nil, extra, selection, err
	}
	if accept {
		return now, extra, selection, nil
	}
	then := now
	if !bytes.Equal(source, []byte(plan.Source)) {
		if then, err = e.parse(ctx, run.File, []byte(plan.Source), params); err != nil {
			var problems workflow.Problems
			if !errors.As(err, &problems) {
				return nil, extra, selection, err
			}
			return nil, extra, selection, &ChangedError{Run: id, Changes: []Change{{Field: "workflow"}}}
		}
	}
	changes, err := compareWorkflows(then, now, extra)
	if err != nil {
		return nil, extra, selection, err
	}
	if len(changes) > 0 {
		return nil, extra, selection, &ChangedError{Run: id, Changes: changes}
	}
	return now, extra, selection, nil
}

func (e *Engine) runPlan(ctx context.Context, id string) (state.Run, state.RunPlan, runExtra, error) {
	var run state.Run
	var plan state.RunPlan
	var extra runExtra
	err := e.store.View(ctx, func(tx *state.Tx) error {
		var err error
		if run, err = tx.Run(id); err != nil {
			return err
		}
		plan, err = tx.RunPlan(id)
		return err
	})
	if err == nil && len(plan.Extra) > 0 {
		err = json.Unmarshal(plan.Extra, &extra)
	}
	return run, plan, extra, err
}

// compareWorkflows lists what a run of now would do otherwise than one of then.
func compareWorkflows(then, now *Workflow, extra runExtra) ([]Change, error) {
	var changes []Change
	old, err := buildNodes(then)
	if err != nil {
		return nil, err
	}
	new, err := buildNodes(now)
	if err != nil {
		return nil, err
	}
	before := byInstance(old)
	for _, n := range new {
		o := before[n.instance]
		delete(before, n.instance)
		changes = append(changes, compareNodes(o, n)...)
	}
	for _, o := range old {
		if before[o.instance] != nil {
			changes = append(changes, Change{Field: "stages." + o.instance, From: text(o.uses), To: text("")})
		}
	}
	for _, n := range new {
		uses := n.plugin.uses
		if was := extra.Plugins[uses]; was != "" && was != n.plugin.identity() {
			changes = append(changes, Change{Field: "plugin " + uses, From: text(was), To: text(n.plugin.identity())})
			extra.Plugins[uses] = "" // once
		}
	}
	return changes, nil
}

// compareNodes compares what enters a fingerprint, and what decides whether a stage runs and whether its
// result is good enough.
func compareNodes(o, n *node) []Change {
	prefix := "stages." + n.instance
	if o == nil {
		return []Change{{Field: prefix, From: text(""), To: text(n.uses)}}
	}
	if o.uses != n.uses {
		return []Change{{Field: prefix + ".uses", From: text(o.uses), To: text(n.uses)}}
	}
	if o.frozen != n.frozen {
		return []Change{{Field: prefix + ".frozen", From: truth(o.frozen), To: truth(n.frozen)}}
	}
	var id, was identityBuilder
	for _, side := range []struct {
		b *identityBuilder
		n *node
	}{{&was, o}, {&id, n}} {
		for _, l := range side.n.plugin.schema.leaves(side.n.with) {
			_ = side.b.add("with."+l.field, withReferences(l.value)) // what the language takes always encodes
		}
		for name, value := range side.n.env {
			_ = side.b.add("env."+name, value)
		}
	}
	was.judgement(o)
	id.judgement(n)
	changes := id.diff(was.parts)
	for i := range changes {
		changes[i].Field = prefix + "." + changes[i].Field
	}
	return changes
}

// judgement adds the `when` and the gates of n, which no fingerprint holds.
func (b *identityBuilder) judgement(n *node) {
	if n.condition == nil {
		_ = b.add("when", string(n.when)) // texts and scalars always encode
	} else {
		b.expression("when", n.condition)
	}
	for i, gate := range n.gates {
		b.expression(fmt.Sprintf("gates[%d]", i), gate)
	}
}

func (b *identityBuilder) expression(field string, c *workflow.Condition) {
	_ = b.add(field, c.Text)
	for _, p := range c.Params() {
		_ = b.add(field+" "+p.Text, p.Value)
	}
}

// truth is a JSON true or false.
func truth(b bool) json.RawMessage { return json.RawMessage(strconv.FormatBool(b)) }

// text is a JSON text; null for "".
func text(s string) json.RawMessage {
	if s == "" {
		return json.RawMessage("null")
	}
	b, err := json.Marshal(s)
	if err != nil {
		return json.RawMessage("null")
	}
	return b
}

// reopen stores the stages of a resumed run as they are now: done ones stay as they were, the
// others are pending again.
func (r *run) reopen(ctx context.Context) error {
	if err := r.makeFolders(); err != nil {
		return err
	}
	return r.e.store.Update(ctx, func(tx *state.Tx) error {
		if err := r.reopenAdopted(tx); err != nil {
			return err
		}
		for i, n := range r.nodes {
			s := r.plannedRecord(i)
			old, err := tx.Stage(r.id, n.instance)
			switch {
			case errors.Is(err, state.ErrNotFound):
			case err != nil:
				return err
			case staysDone(old, s):
				r.results[i].outcome = state.Succeeded
				if old.Epoch == r.epoch { // adopted when the run was taken over: stored already
					r.stages[i] = old
					continue
				}
				s = old
				s.Epoch = r.epoch
			default:
				s.Attempts = old.Attempts
			}
			r.stages[i] = s
			if err := tx.PutStage(s); err != nil {
				return err
			}
		}
		if err := r.event(tx, Event{Kind: RunStarted}); err != nil {
			return err
		}
		return r.e.digest.remember(tx)
	})
}

// staysDone: what the run has done itself is what the plan reuses.
func staysDone(old, planned state.StageRecord) bool {
	return old.Outcome == state.Succeeded && planned.Outcome == state.Cached && old.Fingerprint == planned.Fingerprint
}

// reopenAdopted takes the run over once more when a stage was adopted as succeeded in this very epoch
// and is not done by the workflow as it is now: only a new epoch may reopen what has ended.
func (r *run) reopenAdopted(tx *state.Tx) error {
	for i, n := range r.nodes {
		old, err := tx.Stage(r.id, n.instance)
		if errors.Is(err, state.ErrNotFound) {
			continue
		}
		if err != nil {
			return err
		}
		if old.Epoch == r.epoch && old.Outcome == state.Succeeded && !staysDone(old, r.plannedRecord(i)) {
			r.record, err = tx.TakeOver(r.id)
			r.epoch = r.record.Epoch
			return err
		}
	}
	return nil
}
