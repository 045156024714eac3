package engine

import (
	"context"
	"fmt"
	"os"
	"path/filepath"
	"runtime"
	"time"

	"github.com/so8t/so8t/plugins"
	"github.com/so8t/so8t/plugins/host"
	"github.com/so8t/so8t/plugins/manifest"
	"github.com/so8t/so8t/state"
)

// Engine plans and runs the workflows of one project. It may be used by one caller at a time,
// but for its read side.
type Engine struct {
	opts   Options
	store  *state.Store
	digest *digester
	crash  *crashPoints
	disk   manifest.Disk
	launch launchFunc
	// prepare starts a plugin ahead of its use; nil does not.
	prepare func(context.Context, host.Command) (spare, error)
	now     func() time.Time
}

// process is a running plugin, as far as the engine uses one: *host.Process.
type process interface {
	processGroup
	Describe(context.Context) (plugins.Description, error)
	Check(context.Context, plugins.CheckRequest) (plugins.CheckReport, error)
	Run(context.Context, *plugins.Attempt, func(plugins.Event)) (plugins.Result, error)
	Stop(ctx context.Context, grace time.Duration) error
	Kill()
	Close() []host.Record
	Usage() (u host.Usage, whole bool)
}

// launchFunc starts a plugin; tests put plugins without a process in its place.
type launchFunc func(context.Context, host.Command, host.Options) (process, error)

// New opens the project's state. Close it when done.
func New(opts Options) (*Engine, error) {
	if opts.StateDir == "" {
		opts.StateDir = filepath.Join(opts.ProjectDir, ".so8t")
	}
	if opts.Getenv == nil {
		opts.Getenv = os.Getenv
	}
	if opts.Jobs <= 0 {
		opts.Jobs = runtime.NumCPU()
	}
	if opts.Grace <= 0 {
		opts.Grace = 30 * time.Second
	}
	if opts.Listener == nil {
		opts.Listener = func(Event) {}
	}
	crash, err := newCrashPoints(opts.Getenv)
	if err != nil {
		return nil, err
	}
	store, err := state.Open(opts.StateDir, state.Options{BeforeCommit: crash.beforeCommit})
	if err != nil {
		return nil, err
	}
	return &Engine{
		opts: opts, store: store, digest: newDigester(store), crash: crash,
		disk: crash.watch(manifest.OS), launch: hostLaunch, prepare: hostPrepare, now: time.Now,
	}, nil
}

// Close gives up what the engine holds open.
func (e *Engine) Close() error { return e.store.Close() }

// Quiet calls f while no transaction is under way, for an owner that stops its own process in f:
// stopped inside a transaction it would keep everyone else out of the state.
func (e *Engine) Quiet(f func()) { e.store.Quiet(f) }

// StateDir is the folder of the state, absolute.
func (e *Engine) StateDir() string { return e.store.Dir() }

func hostLaunch(ctx context.Context, c host.Command, o host.Options) (process, error) {
	p, err := host.Launch(ctx, c, o)
	if err != nil {
		return nil, err // a nil *host.Process must not become a process that is not nil
	}
	return p, nil
}

// start launches a plugin; it is a durable step, for what it may leave behind.
func (e *Engine) start(ctx context.Context, p *pluginInfo, o host.Options) (process, error) {
	if err := e.crash.step("start", o.Name); err != nil {
		return nil, err
	}
	return e.launch(ctx, p.command, o)
}

// relative is a path below the project as it is shown: with slashes.
func (e *Engine) relative(path string) string {
	rel, err := filepath.Rel(e.opts.ProjectDir, path)
	if err != nil {
		return filepath.ToSlash(path)
	}
	return filepath.ToSlash(rel)
}

// inState makes a path of a record, which is relative to the state folder, absolute.
func (e *Engine) inState(path string) string {
	return filepath.Join(e.store.Dir(), filepath.FromSlash(path))
}

// stateRelative is the inverse of inState.
func (e *Engine) stateRelative(path string) (string, error) {
	rel, err := filepath.Rel(e.store.Dir(), path)
	if err != nil {
		return "", fmt.Errorf("path %q is not below the state folder: %w", path, err)
	}
	return filepath.ToSlash(rel), nil
}
