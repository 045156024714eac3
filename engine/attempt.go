package engine

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"path/filepath"
	"sync/atomic"
	"time"

	"github.com/so8t/so8t/plugins"
	"github.com/so8t/so8t/plugins/host"
	"github.com/so8t/so8t/state"
)

// attempt is one try of one node.
type attempt struct {
	*work
	number int
	try    int // counted in this engine, for retries
	folder attemptFolder
	record state.Attempt
	resume *plugins.Checkpoint
	// retry is how long to wait before the next try; 0 = there is none.
	retry time.Duration
	// outputs and the refusal of the gates, of an attempt that succeeded.
	outputs map[string]state.OutputRecord
	refused string
	// proposal is what the stage proposes to change for it.
	proposal map[string]json.RawMessage

	metrics *metricsFile
	secrets map[string]string
	// plugin is nil until it has started; used is what it had taken when its work was done, which
	// is all when measured.
	plugin   process
	used     host.Usage
	measured bool
	// progressed is when progress was last told to the listener.
	progressed time.Time
	named      bool // the folder's name is durable
	timedOut   atomic.Bool
	err        error // of a commit or write while the stage ran
	// gone waits until nothing is left of the plugin and its log is whole, and returns what it had
	// left behind.
	gone func() []state.ProcessRecord
}

// do makes the attempt and stores how it ended. The error says that the run cannot go on.
func (a *attempt) do(ctx context.Context) error {
	a.folder = attemptDir(a.r.e.store.Dir(), a.r.id, a.n.instance, a.number)
	a.record = state.Attempt{
		Run: a.r.id, Instance: a.n.instance, Number: a.number, Epoch: a.r.epoch,
		Fingerprint: a.identity.fingerprint, Outcome: state.Running, Started: a.r.e.now(), Adjusted: maps.Clone(a.adjusted),
	}
	if err := a.chooseCheckpoint(ctx); err != nil {
		return err
	}
	a.gone = func() []state.ProcessRecord { return nil }
	res, err := a.launch(ctx)
	defer func() { a.gone() }() // the next attempt or stage finds the machine free
	if err == nil {
		// How far one came that did not get through stays.
		a.r.live.Remove(a.n.instance)
	}
	if a.err != nil {
		return a.err
	}
	if a.record.Process == nil { // it was not even started
		if err := a.begin(ctx, nil); err != nil {
			return err
		}
	}
	// A plugin that has sealed its outputs ends while we commit. Before we seal, nothing may be
	// left that could still write.
	if err != nil || res.Skipped != "" || a.n.plugin.foreign() {
		a.record.Leftovers = a.gone()
	}
	a.measure()
	if err := a.finish(ctx, res, err); err != nil {
		return err
	}
	return a.addLeftovers(ctx)
}

// addLeftovers stores what was found of the plugin after the attempt was committed.
func (a *attempt) addLeftovers(ctx context.Context) error {
	left := a.gone()
	if len(left) == len(a.record.Leftovers) {
		return nil
	}
	a.record.Leftovers = left
	return a.r.update(ctx, func(tx *state.Tx) error { return tx.PutAttempt(a.record) })
}

// launch starts the plugin, lets it run and begins to end it.
func (a *attempt) launch(ctx context.Context) (plugins.Result, error) {
	if a.unusable != nil {
		return plugins.Result{}, a.unusable
	}
	if a.try > 1 { // it may have changed while we waited
		if err := a.fresh(ctx); err != nil {
			return plugins.Result{}, err
		}
	}
	if err := a.folder.create(a.n.plugin.foreign()); err != nil {
		return plugins.Result{}, err
	}
	if a.resume != nil {
		before, err := a.r.e.stateRelative(filepath.Dir(filepath.Dir(a.resume.Path)))
		if err == nil {
			err = writeOrigin(a.folder.origin(), origin{Folder: before, Step: a.resume.Step})
		}
		if err != nil {
			return plugins.Result{}, err
		}
	}
	log := &logFile{path: a.folder.log()}
	a.metrics = newMetricsFile(a.folder.metrics())
	p, err := a.start(ctx, log)
	if err != nil {
		return plugins.Result{}, errors.Join(err, log.Close())
	}
	a.plugin = p
	res, err := a.supervise(ctx, p)
	a.used, a.measured = p.Usage()
	a.gone = a.end(p, log)
	if closeErr := a.metrics.close(); err == nil {
		err = closeErr
	}
	return res, err
}

func (a *attempt) start(ctx context.Context, log *logFile) (process, error) {
	var err error
	if a.secrets, err = a.r.e.secretValues(a.n); err != nil {
		return nil, err
	}
	return a.r.start(ctx, a.n.plugin.with(withDevices(a.n.environment(a.secrets), a.devices)), a.launchOptions(ctx, log))
}

// end ends the plugin in the background; what it returns waits for that.
func (a *attempt) end(p process, log *logFile) func() []state.ProcessRecord {
	var left []state.ProcessRecord
	over := make(chan struct{})
	go func() {
		defer close(over)
		for _, r := range p.Close() {
			left = append(left, processRecord(r))
		}
		if err := log.Close(); err != nil {
			a.warn(fmt.Sprintf("closing the log: %v", err))
		}
	}()
	return func() []state.ProcessRecord {
		<-over
		return left
	}
}

func (a *attempt) launchOptions(ctx context.Context, log *logFile) host.Options {
	o := a.n.hostOptions(a.secrets)
	o.Log = log
	// The record of the process is committed while it starts: before it can do anything that
	// would have to be swept up.
	o.Started = func(rec host.Record) error {
		p := processRecord(rec)
		if a.err = a.begin(ctx, &p); a.err != nil {
			return a.err
		}
		return nil
	}
	return o
}

// begin stores that the attempt runs.
func (a *attempt) begin(ctx context.Context, process *state.ProcessRecord) error {
	a.record.Process = process
	s := a.work.record
	s.Outcome, s.Attempts, s.Fingerprint, s.Facts = state.Running, a.number, a.identity.fingerprint, a.facts
	s.Error = nil
	event := Event{Kind: StageStarted, Stage: a.n.stage, Instance: a.n.instance, Attempt: a.number,
		Outcome: string(state.Running), Reason: s.Reason, ResumedFrom: resumePoint(a.record.ResumedFrom)}
	err := a.r.update(ctx, func(tx *state.Tx) error {
		if err := tx.PutStage(*s); err != nil {
			return err
		}
		if err := tx.PutAttempt(a.record); err != nil {
			return err
		}
		return a.r.event(tx, event)
	})
	if err == nil {
		a.r.emit(event)
	}
	return err
}

func resumePoint(p *state.ResumePoint) *ResumePoint {
	if p == nil {
		return nil
	}
	return &ResumePoint{Run: p.Run, Attempt: p.Attempt, Step: p.Step}
}

// supervise runs the stage and passes stop, kill and the time limit on to it.
func (a *attempt) supervise(ctx context.Context, p process) (plugins.Result, error) {
	a.r.control.add(p)
	defer a.r.control.remove(p)
	over := make(chan struct{})
	watched := make(chan struct{})
	// The stage's own context is not ours: it ends by Stop, with its grace time.
	running, cancel := context.WithCancel(context.WithoutCancel(ctx))
	defer cancel()
	go func() {
		defer close(watched)
		a.watch(ctx, running, p, over)
	}()
	timeline, err := a.r.timeline(ctx, a.n)
	if err != nil {
		a.warn(fmt.Sprintf("the timeline of what ran before: %v", err))
	}
	res, err := p.Run(running, &plugins.Attempt{
		Stage: a.n.stage, Run: a.r.id, Number: a.number, With: a.with, Facts: a.facts, Secrets: a.secrets,
		ProjectDir: a.r.e.opts.ProjectDir, OutputDir: a.folder.out(), ScratchDir: a.folder.scratch(),
		CheckpointDir: a.folder.checkpoints(), Resume: a.resume, Timeline: timeline,
	}, func(e plugins.Event) { a.on(ctx, e) })
	close(over)
	<-watched
	return res, err
}

// watch asks the stage to stop when the run is interrupted or its time is over.
func (a *attempt) watch(ctx, running context.Context, p process, over <-chan struct{}) {
	var limit <-chan time.Time
	if a.n.timeout > 0 {
		timer := time.NewTimer(a.n.timeout)
		defer timer.Stop()
		limit = timer.C
	}
	stop := func() {
		if err := p.Stop(running, a.r.e.opts.Grace); err != nil {
			p.Kill() // it cannot be asked
		}
	}
	asked, killed, cancelled := a.r.control.stop, a.r.control.kill, ctx.Done()
	for {
		select {
		case <-over:
			return
		case <-asked:
			asked, cancelled = nil, nil
			stop()
		case <-cancelled:
			cancelled, asked = nil, nil
			stop()
		case <-limit:
			a.timedOut.Store(true)
			stop()
		case <-killed:
			killed = nil
			p.Kill()
		}
	}
}

// progressEvery bounds how often progress is told.
const progressEvery = 250 * time.Millisecond

// on takes in one event of the stage. They come one at a time.
func (a *attempt) on(ctx context.Context, e plugins.Event) {
	base := Event{Stage: a.n.stage, Instance: a.n.instance, Attempt: a.number}
	switch e := e.(type) {
	case plugins.Progress:
		a.r.live.Set(a.n.instance, state.LiveStage{Attempt: a.number, Done: e.Done, Total: e.Total, Unit: e.Unit, Message: e.Message})
		now := a.r.e.now()
		if now.Sub(a.progressed) < progressEvery && (e.Total == 0 || e.Done < e.Total) {
			return
		}
		a.progressed = now
		base.Kind, base.Done, base.Total, base.Unit, base.Message = Progressed, e.Done, e.Total, e.Unit, e.Message
		base.Usage = usageNow(a.plugin)
	case plugins.Metric:
		if err := a.metrics.add(e); err != nil {
			a.warn(fmt.Sprintf("writing metrics: %v", err))
		}
		base.Kind, base.Name, base.Value, base.Step = Measured, e.Name, e.Value, e.Step
	case plugins.LogLine:
		base.Kind, base.Level, base.Message = Logged, e.Level, e.Message
	case plugins.Warning:
		a.warn(e.Message)
		return
	case plugins.Saved:
		if err := a.saved(ctx, e.Checkpoint); err != nil {
			a.warn(fmt.Sprintf("checkpoint at step %d is not used: %v", e.Checkpoint.Step, err))
		}
		return
	default:
		return
	}
	a.r.emit(base)
}

// warn tells of something that does not end the attempt, and keeps it in the journal.
func (a *attempt) warn(message string) {
	e := Event{Kind: Warned, Stage: a.n.stage, Instance: a.n.instance, Attempt: a.number, Message: message}
	a.r.note(e)
	a.r.emit(e)
}

// classify says how an attempt that returned err ended.
func (a *attempt) classify(ctx context.Context, err error) (state.Outcome, *state.ErrorRecord) {
	if err == nil {
		return state.Succeeded, nil
	}
	rec := &state.ErrorRecord{Code: string(plugins.CodeOf(err)), Message: err.Error()}
	var typed *plugins.Error
	if errors.As(err, &typed) {
		rec.Detail = typed.Detail
		a.proposal = proposalOf(typed)
	}
	switch {
	case a.r.stopping(ctx):
		return state.Interrupted, rec
	case a.timedOut.Load():
		rec.Code = string(plugins.Timeout)
		rec.Message = fmt.Sprintf("took longer than %s", a.n.timeout)
	}
	return state.Failed, rec
}

// processRecord keeps a process as the state stores it.
func processRecord(r host.Record) state.ProcessRecord {
	return state.ProcessRecord{PID: r.PID, Birth: r.Birth, Mark: r.Mark}
}

func hostRecord(p state.ProcessRecord) host.Record {
	return host.Record{PID: p.PID, Birth: p.Birth, Mark: p.Mark}
}
