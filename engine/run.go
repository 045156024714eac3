package engine

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"sync"
	"time"

	"github.com/so8t/so8t/state"
)

// run is one execution of a workflow, held by this engine.
type run struct {
	e       *Engine
	id      string
	epoch   int64
	record  state.Run
	plan    *Plan
	nodes   []*node
	control *Control
	live    *state.LiveWriter
	started time.Time

	// results by node. The scheduler writes one before any reader of it starts.
	results []result
	// stages are the records by node; each belongs to the scheduler until the node starts, and
	// again when it has ended.
	stages []state.StageRecord
	// locked are the fingerprints that were worked on, by node.
	locked []string
	// said is what the expression in the `when` of each node that runs found.
	said []string

	devices func() []string // of the engine, asked once

	ahead *ahead

	tryAgain chan tryAgain // from the stages to the scheduler

	listen sync.Mutex // events go out one at a time
}

// result is how a node ended.
type result struct {
	outcome state.Outcome
	outputs map[string]state.OutputRecord
	metrics state.Metrics
	// cause is the instance at the root of a failure: itself, or the one that blocks it.
	cause string
}

// Run makes a new run of a plan and executes it. The error says that it could not be executed;
// stages that failed are an outcome.
func (e *Engine) Run(ctx context.Context, plan *Plan, opts RunOptions) (*Outcome, error) {
	if err := plan.ready(); err != nil {
		return nil, err
	}
	if err := e.recoverDead(ctx); err != nil {
		return nil, err
	}
	record := state.Run{
		Workflow: plan.Workflow.Name, File: plan.Workflow.File, Parent: opts.Parent, Note: opts.Note,
		State: state.RunRunning, Epoch: 1, Started: e.now(),
	}
	var lock *state.RunLock
	var err error
	if record.ID, lock, err = e.lockNew(ctx, record.Started); err != nil {
		return nil, err
	}
	defer lock.Release()
	r, err := e.stored(ctx, plan, record, opts.Control, (*run).create)
	if err != nil {
		return nil, err
	}
	return r.execute(ctx)
}

// ready reports what keeps a plan from being run.
func (p *Plan) ready() error {
	if len(p.Problems) > 0 {
		return &CheckError{Problems: p.Problems}
	}
	for _, s := range p.Stages {
		if s.Action == ActionBlocked {
			return &SelectionError{Message: fmt.Sprintf("stage %q is blocked: %s", s.Instance, s.Reason)}
		}
	}
	return nil
}

func (e *Engine) newRun(plan *Plan, control *Control) *run {
	if control == nil {
		control = NewControl()
	}
	r := &run{
		e: e, ahead: newAhead(e.prepare), plan: plan, nodes: plan.nodes, control: control, started: e.now(), devices: sync.OnceValue(e.devices),
		results: make([]result, len(plan.nodes)), said: make([]string, len(plan.nodes)),
		locked: make([]string, len(plan.nodes)), stages: make([]state.StageRecord, len(plan.nodes)),
		tryAgain: make(chan tryAgain),
	}
	r.expectFirst()
	return r
}

// create stores the run with all that is known of its stages, in one transaction, after making the
// folders in which its attempts will lie.
func (r *run) create(ctx context.Context) error {
	if err := r.makeFolders(); err != nil {
		return err
	}
	plan, err := r.planRecord()
	if err != nil {
		return err
	}
	for i := range r.nodes {
		r.stages[i] = r.plannedRecord(i)
	}
	return r.e.store.Update(ctx, func(tx *state.Tx) error {
		if err := tx.CreateRun(r.record, plan); err != nil {
			return err
		}
		for i, s := range r.stages {
			if err := r.putPlanned(tx, i, s); err != nil {
				return err
			}
		}
		if err := r.event(tx, Event{Kind: RunStarted}); err != nil {
			return err
		}
		return r.e.digest.remember(tx)
	})
}

// putPlanned stores a stage as the plan has it. Of a reused one the parts become the latest, so
// that the next "why" compares with what was asked for last.
func (r *run) putPlanned(tx *state.Tx, i int, s state.StageRecord) error {
	if err := tx.PutStage(s); err != nil {
		return err
	}
	d := r.plan.decisions[i]
	if s.Outcome != state.Cached || len(d.identity.parts) == 0 { // as a rerun found it: nobody asked for it
		return nil
	}
	return r.putParts(tx, r.nodes[i], d.identity)
}

func (r *run) putParts(tx *state.Tx, n *node, id identity) error {
	old, known, err := tx.LatestParts(r.record.Workflow, n.instance)
	if err != nil || known && old.Fingerprint == id.fingerprint {
		return err
	}
	return tx.PutLatestParts(state.LatestParts{
		Workflow: r.record.Workflow, Instance: n.instance, Run: r.id, Epoch: r.epoch,
		Fingerprint: id.fingerprint, Parts: id.parts,
	})
}

// makeFolders makes the folder of each instance that may run and makes their names durable at
// once, which saves every attempt a sync.
func (r *run) makeFolders() error {
	dir := state.RunDir(r.e.store.Dir(), r.id)
	var parent string
	for i, n := range r.nodes {
		if r.plan.decisions[i].action != ActionRun {
			continue
		}
		stage := state.StageDir(r.e.store.Dir(), r.id, n.instance)
		if err := os.MkdirAll(stage, 0o777); err != nil {
			return err
		}
		parent = filepath.Dir(stage)
	}
	for _, d := range []string{parent, dir, filepath.Dir(dir)} {
		if d == "" {
			continue
		}
		if err := r.e.disk.SyncDir(d); err != nil {
			return err
		}
	}
	return nil
}

// execute runs what is left to run, and ends the run.
func (r *run) execute(ctx context.Context) (*Outcome, error) {
	r.live = state.NewLiveWriter(r.e.store.Dir(), r.id, r.epoch)
	r.announce()
	defer r.heedCancel()()
	r.publishDone(ctx)
	err := r.schedule(ctx)
	r.ahead.close()
	r.removeLocks()
	if closeErr := r.live.Close(); err == nil && closeErr != nil {
		r.emit(Event{Kind: Warned, Message: fmt.Sprintf("writing progress: %v", closeErr)})
	}
	if err != nil {
		return nil, fmt.Errorf("run %s: %w", r.id, err)
	}
	return r.end(ctx)
}

// removeLocks removes the files of the locks that the stages' work has given up. What stays does no
// harm, and gc finds it.
func (r *run) removeLocks() {
	for _, fingerprint := range r.locked {
		if fingerprint != "" {
			_ = state.RemoveLock(r.e.store.Dir(), fingerprint)
		}
	}
}

func (r *run) announce() {
	r.emit(Event{Kind: RunStarted, Jobs: r.jobs(), Stages: instances(r.nodes, allIndices(len(r.nodes)))})
	for i, s := range r.stages {
		if r.results[i].outcome != "" {
			r.emit(r.ended(i, s, 0))
		}
	}
}

func allIndices(n int) []int {
	out := make([]int, n)
	for i := range out {
		out[i] = i
	}
	return out
}

// ended is the event of a stage that is over.
func (r *run) ended(i int, s state.StageRecord, attempt int) Event {
	e := Event{
		Kind: StageEnded, Stage: s.Stage, Instance: s.Instance, Attempt: attempt, Outcome: string(s.Outcome),
		Reason: s.Reason, FromRun: s.FromRun, Cause: s.Cause, Error: failureOf(s.Error),
	}
	if !s.Started.IsZero() && !s.Ended.IsZero() {
		e.Elapsed = max(s.Ended.Sub(s.Started), 0) // the clock may have been set
	}
	return e
}

func failureOf(e *state.ErrorRecord) *Failure {
	if e == nil {
		return nil
	}
	return &Failure{Code: e.Code, Message: e.Message, Detail: e.Detail}
}

// end stores how the run ended.
func (r *run) end(ctx context.Context) (*Outcome, error) {
	o := &Outcome{Run: r.id, State: string(state.RunSucceeded), Stages: map[string]int{}, Signal: r.control.Interrupted()}
	open := false
	r.record.Stages = map[state.Outcome]int{}
	for i, s := range r.stages {
		r.record.Stages[s.Outcome]++
		switch s.Outcome {
		case state.Failed, state.Blocked, state.Cancelled:
			if !r.forgiven(i) {
				o.State = string(state.RunFailed)
			}
		case state.Pending, state.Running, state.Interrupted:
			open = true
		}
	}
	switch {
	case open && o.Signal == CANCEL:
		o.State = string(state.RunCancelled)
	case open:
		o.State = string(state.RunInterrupted)
	default:
		o.Signal = "" // everything was done before the signal came
	}
	for outcome, count := range r.record.Stages {
		o.Stages[string(outcome)] = count
	}
	r.record.State, r.record.Ended = state.RunState(o.State), r.e.now()
	r.record.HooksDue = len(hooksOf(hookRecords(r.plan.Workflow.Hooks), r.record.State)) > 0
	event := Event{Kind: RunEnded, Outcome: o.State, Elapsed: max(r.record.Ended.Sub(r.started), 0)}
	err := r.update(ctx, func(tx *state.Tx) error {
		if err := tx.PutRun(r.record); err != nil {
			return err
		}
		if err := r.e.digest.remember(tx); err != nil {
			return err
		}
		return r.event(tx, event)
	})
	if err != nil {
		return nil, fmt.Errorf("ending run %s: %w", r.id, err)
	}
	r.emit(event)
	return o, r.runHooks(ctx)
}

// forgiven: a stage of continue_on_error does not fail its run.
func (r *run) forgiven(i int) bool {
	return r.stages[i].Outcome == state.Failed && r.nodes[i].continueOnError
}

// update is a transaction that a cancelled run still makes: what happened is recorded.
func (r *run) update(ctx context.Context, f func(*state.Tx) error) error {
	return r.e.store.Update(context.WithoutCancel(ctx), f)
}

// emit tells the listener.
func (r *run) emit(e Event) {
	r.listen.Lock()
	defer r.listen.Unlock()
	e.Run, e.Time = r.id, r.e.now()
	r.e.opts.Listener(e)
}

// note puts an event into the journal on its own; the next transaction makes it durable.
func (r *run) note(e Event) {
	e.Run, e.Time = r.id, r.e.now()
	text, err := json.Marshal(e)
	if err == nil {
		err = r.e.store.AppendEvent(r.id, text)
	}
	if err != nil {
		r.emit(Event{Kind: Warned, Message: fmt.Sprintf("writing the journal: %v", err)})
	}
}

// event puts an event into the journal with the transaction that makes it true.
func (r *run) event(tx *state.Tx, e Event) error {
	e.Run, e.Time = r.id, r.e.now()
	text, err := json.Marshal(e)
	if err != nil {
		return fmt.Errorf("encoding event: %w", err)
	}
	tx.Event(r.id, text)
	return nil
}

// errStopped says that the run was interrupted before something could begin.
var errStopped = errors.New("the run was interrupted")
