package host

import (
	"context"
	"errors"
	"time"

	"github.com/so8t/so8t/plugins"
)

// Process is a running plugin. It can describe itself, check, and then run, one stage at a
// time. Its methods may be called from several goroutines.
type Process struct{}

// Launch starts a plugin and waits for its handshake. The error is a *plugins.Error:
// unavailable when the program is not there or not what it should be, crashed when it ended.
func Launch(ctx context.Context, c Command, o Options) (*Process, error) {
	return nil, errors.New("not yet")
}

// Describe asks the plugin what it is.
func (p *Process) Describe(ctx context.Context) (plugins.Description, error) {
	return plugins.Description{}, errors.New("not yet")
}

// Check asks the plugin whether it could run.
func (p *Process) Check(ctx context.Context, req plugins.CheckRequest) (plugins.CheckReport, error) {
	return plugins.CheckReport{}, errors.New("not yet")
}

// Run lets the plugin do its work. Of the attempt the data fields are sent; its functions and
// channel are not used. on gets every event, one at a time, and holds the plugin up while it
// works; log lines have been written to Options.Log already. The error is a *plugins.Error.
// When ctx ends, the stage's context is cancelled at once: ask it to stop with Stop.
func (p *Process) Run(ctx context.Context, a *plugins.Attempt, on func(plugins.Event)) (plugins.Result, error) {
	return plugins.Result{}, errors.New("not yet")
}

// Stop asks the stage in progress to checkpoint and return; Run goes on delivering events
// until it does. When grace is over the stage's context is cancelled, and shortly after the
// process group is killed. Stop returns when the request has been sent.
func (p *Process) Stop(ctx context.Context, grace time.Duration) error { return errors.New("not yet") }

// Suspend stops the process group, Continue lets it go on.
func (p *Process) Suspend() error  { return nil }
func (p *Process) Continue() error { return nil }

// Kill ends the process group at once. Close is still needed.
func (p *Process) Kill() {}

// Close ends the plugin: politely, then by force; kills whatever descends from it; waits for
// the log's last bytes and removes the socket. It returns the processes that the plugin had
// left behind, which are gone now.
func (p *Process) Close() []Record { return nil }

// Record identifies the process.
func (p *Process) Record() Record { return Record{} }

// Sweep kills what is left of the processes that a former engine recorded and everything that
// descends from them, and returns what it killed. A process is only ever chosen by its pid
// together with its birth, or by the mark it inherited.
func Sweep(records []Record) ([]Record, error) { return nil, nil }

// SelfBuildID tells builds of this binary apart.
func SelfBuildID() string { return "" }
