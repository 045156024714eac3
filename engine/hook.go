package engine

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"time"

	"github.com/so8t/so8t/engine/workflow"
	"github.com/so8t/so8t/plugins/host"
	"github.com/so8t/so8t/state"
)

// Hooks are what a workflow says under `on`: a command to run or an address to tell when an engine
// has ended a run. `success` and `failure` are for runs that succeeded or failed; `always` for every
// end, also of an interrupted or cancelled run, and comes last. A run whose engine was killed has not
// ended: its hooks come when it is resumed and ends.
//
// They are due from the commit of the run's end until it is committed that they were run. An engine
// that dies in between leaves them to the next one that starts or resumes a run: at least once. A
// hook that fails is a warning and changes no outcome.

// hookTimeout is for hooks that say none.
const hookTimeout = time.Minute

// hookRecord is a hook as the run's plan keeps it.
type hookRecord struct {
	Event   string        `json:"event"`
	Run     string        `json:"run,omitempty"`
	Webhook string        `json:"webhook,omitempty"`
	Timeout time.Duration `json:"timeout,omitempty"` // nanoseconds
}

func hookRecords(hooks []workflow.Hook) []hookRecord {
	var out []hookRecord
	for _, h := range hooks {
		out = append(out, hookRecord{h.Event, h.Run, h.Webhook, h.Timeout})
	}
	return out
}

// hooksOf are those that an end calls for, in the order in which they are run.
func hooksOf(hooks []hookRecord, end state.RunState) []hookRecord {
	meant := map[state.RunState]string{state.RunSucceeded: "success", state.RunFailed: "failure"}[end]
	var due []hookRecord
	for _, event := range []string{meant, "always"} {
		for _, h := range hooks {
			if h.Event == event {
				due = append(due, h)
			}
		}
	}
	return due
}

// ending is a run that has ended, on which hooks are run.
type ending struct {
	e       *Engine
	run     state.Run
	summary *StatusView
	secrets []string
}

// runHooks runs what the end of this run calls for. A signal ends them; so does the second one
// when the run was interrupted itself.
func (r *run) runHooks(ctx context.Context) error {
	if !r.record.HooksDue {
		return nil
	}
	ctx, cancel := context.WithCancel(context.WithoutCancel(ctx))
	defer cancel()
	stop := r.control.stop
	if r.control.Interrupted() != "" {
		stop = r.control.kill
	}
	go func() {
		select {
		case <-stop:
			cancel()
		case <-ctx.Done():
		}
	}()
	return r.e.deliver(ctx, r.record, hookRecords(r.plan.Workflow.Hooks), r.plan.Workflow.Secrets)
}

// deliver runs the hooks of a run that has ended, and commits that they were. The run's lock is held.
func (e *Engine) deliver(ctx context.Context, run state.Run, hooks []hookRecord, secrets []string) error {
	summary, err := e.Status(context.WithoutCancel(ctx), run.ID)
	if err != nil {
		return err
	}
	end := &ending{e: e, run: run, summary: summary, secrets: e.knownSecrets(secrets)}
	for _, h := range hooksOf(hooks, run.State) {
		if err := end.do(ctx, h); err != nil {
			end.warn(fmt.Sprintf("hook %s: %v", h.Event, err))
		}
	}
	return e.store.Update(context.WithoutCancel(ctx), func(tx *state.Tx) error { return tx.HooksDone(run.ID, run.Epoch) })
}

// deliverLeft runs the hooks that an engine which died after the end of its run has left. What goes
// wrong with those of one run is told and keeps nothing from going on.
func (e *Engine) deliverLeft(ctx context.Context) error {
	var due []state.Run
	err := e.store.View(ctx, func(tx *state.Tx) error {
		runs, err := tx.Runs()
		for _, r := range runs {
			if r.HooksDue {
				due = append(due, r)
			}
		}
		return err
	})
	if err != nil {
		return err
	}
	for _, run := range due {
		e.tellHooks(run.ID, e.deliverOne(ctx, run.ID))
	}
	return nil
}

func (e *Engine) tellHooks(run string, err error) {
	if err != nil {
		e.opts.Listener(Event{Kind: Warned, Run: run, Time: e.now(), Message: fmt.Sprintf("hooks of run %s: %v", run, err)})
	}
}

func (e *Engine) deliverOne(ctx context.Context, id string) error {
	lock, err := state.LockRun(e.store.Dir(), id, state.Self(e.opts.Command, id))
	var held *state.HeldError
	if errors.As(err, &held) {
		return nil // its engine is at it
	}
	if err != nil {
		return err
	}
	defer lock.Release()
	return e.deliverDue(ctx, id)
}

// deliverDue runs the hooks that are left of a run whose lock is held.
func (e *Engine) deliverDue(ctx context.Context, id string) error {
	run, _, extra, err := e.runPlan(ctx, id)
	if err != nil || !run.HooksDue {
		return err
	}
	return e.deliver(ctx, run, extra.Hooks, extra.Secrets)
}

// do runs one hook, within its time.
func (end *ending) do(ctx context.Context, h hookRecord) error {
	limit := h.Timeout
	if limit == 0 {
		limit = hookTimeout
	}
	ctx, cancel := context.WithTimeoutCause(ctx, limit, fmt.Errorf("took longer than %s", limit))
	defer cancel()
	text, err := json.Marshal(hookSummary{h.Event, end.summary})
	if err != nil {
		return err
	}
	text = []byte(end.redact(string(text)))
	if h.Webhook != "" {
		err = post(ctx, h.Webhook, text)
	} else {
		err = end.command(ctx, h, text)
	}
	if ctx.Err() != nil {
		err = context.Cause(ctx)
	}
	return err
}

// hookSummary is what a hook is told: the keys of `status --json`, and for what it was called.
type hookSummary struct {
	Event string `json:"event"`
	*StatusView
}

func (end *ending) redact(text string) string { return host.Redact(text, end.secrets) }

// logPath is where the output of a run's hook goes; a run that ends again adds to it.
func (end *ending) logPath(h hookRecord) string {
	return filepath.Join(state.RunDir(end.e.store.Dir(), end.run.ID), "hooks", h.Event+".log")
}

func (end *ending) openLog(h hookRecord) (*os.File, error) {
	path := end.logPath(h)
	if err := os.MkdirAll(filepath.Dir(path), 0o777); err != nil {
		return nil, err
	}
	return os.OpenFile(path, os.O_CREATE|os.O_APPEND|os.O_WRONLY, 0o666)
}

// warn tells of a hook that failed, and keeps it in the journal.
func (end *ending) warn(message string) {
	event := Event{Kind: Warned, Run: end.run.ID, Time: end.e.now(), Message: end.redact(message)}
	if text, err := json.Marshal(event); err == nil {
		// Unsynced, and synced with the commit that follows.
		_ = end.e.store.AppendEvent(end.run.ID, text)
	}
	end.e.opts.Listener(event)
}
