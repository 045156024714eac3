package host

import (
	"context"
	"errors"
	"path/filepath"
	"sync"
	"time"

	plugin "github.com/hashicorp/go-plugin"

	"github.com/so8t/so8t/plugins"
	"github.com/so8t/so8t/plugins/internal/wire"
)

const (
	// stopMargin is how long after its grace time a stage may take to return once its
	// context is cancelled, before its process group is killed.
	stopMargin = 2 * time.Second
	// exitWait is how long a process may take to end after its connection broke, and in
	// Close after it was asked to.
	exitWait = 3 * time.Second
)

// Process is a running plugin. It can describe itself, check, and then run, one stage at a
// time. Its methods may be called from several goroutines.
type Process struct {
	command Command
	options Options
	secrets secrets
	journal *journal
	child   *child
	plugin  *plugin.Client
	client  *wire.Client
	life    vital
	told    told

	mu     sync.Mutex
	doomed error // why we killed it, when we did
	closed sync.Once
	left   []Record // what Close found
}

func newProcess(c Command, o Options) *Process {
	return &Process{command: c, options: o, secrets: newSecrets(o.Secrets), journal: newJournal(o.Log, o.LogLimit)}
}

func (p *Process) startTimeout() time.Duration {
	return orDefault(p.command.StartTimeout, orDefault(p.options.StartTimeout, defaultStartTimeout))
}
func (p *Process) callTimeout() time.Duration {
	return orDefault(p.options.CallTimeout, defaultCallTimeout)
}
func (p *Process) heartbeat() time.Duration { return orDefault(p.options.Heartbeat, defaultHeartbeat) }

func orDefault(d, otherwise time.Duration) time.Duration {
	if d > 0 {
		return d
	}
	return otherwise
}

// name is how messages call the plugin.
func (p *Process) name() string {
	if p.options.Name != "" {
		return p.options.Name
	}
	return filepath.Base(p.command.Path)
}

// ErrEnded says that a plugin that was launched ahead is gone.
var ErrEnded = errors.New("the plugin has ended before it was used")

// Adopt makes a plugin that was launched ahead of its use, and has not been called yet, what it would be
// had it been launched with these options, StartTimeout apart: what it has printed goes to the log, and
// it is recorded. After an error it is closed.
func (p *Process) Adopt(o Options) error {
	select {
	case <-p.child.exited:
		p.Close()
		return ErrEnded
	default:
	}
	p.options, p.secrets = o, newSecrets(o.Secrets)
	p.child.memory = countMemoryKills() // those while it waited were others
	p.child.out.hide(p.secrets)
	p.child.err.hide(p.secrets)
	p.journal.open(o.Log, o.LogLimit)
	if o.Started == nil {
		return nil
	}
	if err := o.Started(p.child.record); err != nil {
		p.Close()
		return p.failed(plugins.Errorf(plugins.CodeOf(err), "could not be recorded: %w", err))
	}
	return nil
}

// failed puts the plugin's name before an error and takes the secrets out of it.
func (p *Process) failed(err error) error {
	var e *plugins.Error
	if !errors.As(err, &e) {
		e = plugins.Errorf(plugins.CodeOf(err), "%w", err)
	}
	out := plugins.Errorf(e.Code, "plugin %q: %w", p.name(), e)
	out.Message, out.Detail, out.RetryWith = p.secrets.text(out.Message), p.secrets.text(e.Detail), p.secrets.fields(e.RetryWith)
	return out
}

// Record identifies the process.
func (p *Process) Record() Record { return p.child.record }

// Describe asks the plugin what it is.
func (p *Process) Describe(ctx context.Context) (plugins.Description, error) {
	ctx, cancel := context.WithTimeout(ctx, p.callTimeout())
	defer cancel()
	d, err := p.client.Describe(ctx)
	if err != nil {
		return d, p.explain(err)
	}
	return d, nil
}

// Check asks the plugin whether it could run.
func (p *Process) Check(ctx context.Context, req plugins.CheckRequest) (plugins.CheckReport, error) {
	ctx, cancel := context.WithTimeout(ctx, p.callTimeout())
	defer cancel()
	report, err := p.client.Check(ctx, req)
	if err != nil {
		return report, p.explain(err)
	}
	for name, fact := range report.Facts { // they are kept, as a part of fingerprints
		report.Facts[name] = p.secrets.text(fact)
	}
	for i, problem := range report.Problems {
		report.Problems[i].Field = p.secrets.text(problem.Field)
		report.Problems[i].Message = p.secrets.text(problem.Message)
		report.Problems[i].Hint = p.secrets.text(problem.Hint)
	}
	return report, nil
}

// Run lets the plugin do its work. Of the attempt the data fields are sent; its functions and
// channel are not used. on gets every event, one at a time, and holds the plugin up while it
// works; nil drops them. Log lines have been written to Options.Log before they come. The
// error is a *plugins.Error. When ctx ends, so does the stage's context, at once: to let it
// write a checkpoint, use Stop.
func (p *Process) Run(ctx context.Context, a *plugins.Attempt, on func(plugins.Event)) (plugins.Result, error) {
	if on == nil {
		on = func(plugins.Event) {}
	}
	limit := p.heartbeat()
	p.life.begin()
	p.told = told{}
	stopWatching := p.watch(limit)
	defer stopWatching()
	result, err := p.client.Run(ctx, a, min(limit/4, time.Second), wire.Receiver{
		Alive: p.life.alive,
		Event: func(e plugins.Event) {
			p.life.handling(true)
			defer p.life.handling(false)
			if e := p.admit(a, e); e != nil {
				on(e)
			}
		},
	})
	if err != nil {
		return plugins.Result{}, p.explain(err)
	}
	result.Skipped = p.secrets.text(result.Skipped)
	result.Metrics = p.secrets.names(result.Metrics)
	return result, nil
}

// Stop asks the stage in progress to checkpoint and return; Run goes on delivering events
// until it does. When grace is over the stage's context is cancelled, and shortly after the
// process group is killed. Stop returns when the request has been sent.
func (p *Process) Stop(ctx context.Context, grace time.Duration) error {
	timer := time.AfterFunc(grace+stopMargin, func() {
		p.doom(plugins.Errorf(plugins.Cancelled, "did not stop within %s and was killed", grace))
	})
	p.life.deadline(timer)
	ctx, cancel := context.WithTimeout(ctx, p.callTimeout())
	defer cancel()
	if err := p.client.Stop(ctx, grace); err != nil {
		return p.explain(err)
	}
	return nil
}

// Suspend stops the process group; Continue lets it go on.
func (p *Process) Suspend() error {
	p.life.suspend(true)
	return p.child.group.suspend()
}

// Continue undoes Suspend.
func (p *Process) Continue() error {
	defer p.life.suspend(false)
	return p.child.group.resume()
}

// Kill ends the process group at once. Close is still needed.
func (p *Process) Kill() { p.doom(plugins.Errorf(plugins.Cancelled, "was killed")) }

// doom kills the process for a reason that Run then gives.
func (p *Process) doom(why error) {
	p.condemn(why)
	p.child.kill()
}

// condemn notes why the process is about to end, unless there is a reason already.
func (p *Process) condemn(why error) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.doomed == nil {
		p.doomed = why
	}
}

// explain makes an error of a call one that says what happened to the process.
func (p *Process) explain(err error) error {
	if !errors.Is(err, wire.ErrGone) {
		return p.failed(err)
	}
	wait := exitWait
	if errors.Is(err, wire.ErrNoResult) {
		wait = lastMoment
	}
	if !p.child.endsWithin(wait) {
		p.child.kill()
		<-p.child.exited
		return p.failed(p.withTail(plugins.Errorf(plugins.Crashed, "broke off and went on: %w", err)))
	}
	p.mu.Lock()
	doomed := p.doomed
	p.mu.Unlock()
	if doomed != nil {
		return p.failed(p.withTail(doomed))
	}
	p.child.end() // its last words
	if killed(p.child.state) && countMemoryKills().since(p.child.memory) {
		return p.failed(p.withTail(plugins.Errorf(plugins.OutOfMemory, "was killed by the kernel: out of memory")))
	}
	return p.failed(p.withOutput(plugins.Errorf(plugins.Crashed, "%s before its result", describeExit(p.child.state))))
}

// withTail adds the last lines of what the plugin printed to the detail.
func (p *Process) withTail(err error) error {
	var e *plugins.Error
	if errors.As(err, &e) && e.Detail == "" {
		e.Detail = p.journal.lastLines()
	}
	return err
}

// Close ends the plugin: politely, then by force; kills whatever descends from it; waits for
// the log's last bytes and removes the socket. It returns the processes that the plugin had
// left behind, which are gone now.
func (p *Process) Close() []Record {
	p.closed.Do(func() {
		defer sockets.leave()
		defer p.journal.close()
		p.life.end()
		if p.child.exited == nil { // it never started
			p.plugin.Kill()
			return
		}
		p.condemn(plugins.Errorf(plugins.Cancelled, "was ended while it worked"))
		_ = p.child.group.resume() // a stopped process cannot end
		p.shutdown()
		p.child.kill()
		<-p.child.exited
		p.plugin.Kill() // of the connection and go-plugin's own goroutines, by now
		p.left = clearLeftovers(p.child.record)
		p.child.end()
	})
	return p.left
}

// shutdown asks the process to end and waits until it has, or has taken too long. go-plugin
// would wait for two seconds for one that does not know how.
func (p *Process) shutdown() {
	if p.client == nil {
		return
	}
	ctx, cancel := context.WithTimeout(context.Background(), exitWait)
	defer cancel()
	if p.client.Shutdown(ctx) {
		p.child.endsWithin(exitWait)
	}
}
