package host

import (
	"context"
	"errors"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"slices"
	"strings"
	"time"

	"github.com/hashicorp/go-hclog"
	plugin "github.com/hashicorp/go-plugin"
	"github.com/hashicorp/go-plugin/runner"

	"github.com/so8t/so8t/plugins"
	"github.com/so8t/so8t/plugins/internal/lineage"
	"github.com/so8t/so8t/plugins/internal/wire"
)

const (
	defaultStartTimeout = 10 * time.Second
	defaultCallTimeout  = 60 * time.Second
	defaultHeartbeat    = 60 * time.Second
	// lastMoment is how long after the end of its output a process that is about to end
	// may take to do so.
	lastMoment = 500 * time.Millisecond
	// builtinSlack is how inexact the timers of a built-in stage may be. The Go runtime looks after
	// itself every 20 µs while a program starts; on a virtual machine the interrupts and wake-ups of
	// that are a tenth of the time that starting takes.
	builtinSlack = 500 * time.Microsecond
)

// Launch starts a plugin and waits for its handshake. The error is a *plugins.Error:
// bad_input when the program is not what it should be, unavailable when it ended at once,
// timeout when it hangs.
func Launch(ctx context.Context, c Command, o Options) (*Process, error) {
	becomeSubreaper()
	dir, err := sockets.enter()
	if err != nil {
		return nil, err
	}
	p := newProcess(c, o)
	p.child = newChild(c, o, p)
	p.plugin = plugin.NewClient(&plugin.ClientConfig{
		HandshakeConfig:  wire.Handshake,
		Plugins:          plugin.PluginSet{wire.Name: &wire.Plugin{}},
		AllowedProtocols: []plugin.Protocol{plugin.ProtocolGRPC},
		SkipHostEnv:      true,
		StartTimeout:     p.startTimeout() + time.Second, // ours comes first
		Logger:           hclog.NewNullLogger(),
		SyncStdout:       p.child.out,
		SyncStderr:       p.child.err,
		UnixSocketConfig: &plugin.UnixSocketConfig{TempDir: dir},
		GRPCDialOptions:  wire.DialOptions(),
		// Of its parser of log lines, which gets nothing to parse.
		PluginLogBufferSize: 16,
		RunnerFunc: func(_ hclog.Logger, cmd *exec.Cmd, _ string) (runner.Runner, error) {
			p.child.cmd.Env = append(p.child.cmd.Env, cmd.Env...)
			return p.child, nil
		},
	})
	if err := p.connect(ctx); err != nil {
		p.Close()
		return nil, err
	}
	return p, nil
}

func newChild(c Command, o Options, p *Process) *child {
	path := c.Path
	if strings.ContainsRune(path, filepath.Separator) && !filepath.IsAbs(path) {
		path, _ = filepath.Abs(path) // it would be looked for below Dir
	}
	cmd := plugins.Command(context.Background(), path, c.Args...) // its life is Process's affair
	cmd.Dir = c.Dir
	if c.Builtin {
		cmd.Slack = builtinSlack
	}
	mark := newMark()
	cmd.Env = environment(c, mark)
	return &child{
		cmd: cmd, mark: mark, builtin: c.Builtin, started: o.Started,
		out: &stream{to: p.journal, secrets: p.secrets},
		err: &stream{to: p.journal, secrets: p.secrets},
	}
}

// passedOn are the variables of the engine that every plugin gets.
var passedOn = []string{"PATH", "HOME", "TMPDIR", "LD_LIBRARY_PATH", "LANG", wire.CrashKey}

// passedOnWindows are those without which few programs start there.
var passedOnWindows = []string{
	"SystemRoot", "USERPROFILE", "LOCALAPPDATA", "APPDATA", "TEMP", "TMP", "PATHEXT", "COMSPEC",
}

// environment is the whole environment of a plugin but for what go-plugin adds.
func environment(c Command, mark string) []string {
	values := map[string]string{}
	names := passedOn
	if runtime.GOOS == "windows" {
		names = slices.Concat(passedOn, passedOnWindows)
	}
	for _, name := range names {
		if v, ok := os.LookupEnv(name); ok {
			values[name] = v
		}
	}
	for name, v := range c.Env {
		values[name] = v
	}
	values[lineage.MarkKey] = mark
	if c.Builtin && c.BuildID != "" {
		values[wire.BuildKey] = c.BuildID
	}
	env := make([]string, 0, len(values))
	for name, v := range values {
		env = append(env, name+"="+v)
	}
	slices.Sort(env)
	return env
}

// connect starts the process and opens the connection, within the start timeout.
func (p *Process) connect(ctx context.Context) error {
	if p.command.Path == "" {
		return p.failed(plugins.Errorf(plugins.BadInput, "no program to start"))
	}
	limited, cancel := context.WithTimeout(ctx, p.startTimeout())
	defer cancel()
	type outcome struct {
		client *wire.Client
		err    error
	}
	p.child.starting.Store(true)
	defer p.child.starting.Store(false)
	done := make(chan outcome, 1)
	go func() {
		client, err := p.dispense()
		done <- outcome{client, err}
	}()
	var o outcome
	select {
	case o = <-done:
	case <-limited.Done():
		p.child.kill()
		o = <-done // ends at once: the process is gone
		if o.err == nil {
			o.err = limited.Err()
		}
	}
	if o.err == nil {
		p.client = o.client
		return nil
	}
	return p.failed(p.startError(ctx, limited, o.err))
}

func (p *Process) dispense() (*wire.Client, error) {
	protocol, err := p.plugin.Client()
	if err != nil {
		return nil, err
	}
	raw, err := protocol.Dispense(wire.Name)
	if err != nil {
		return nil, err
	}
	return raw.(*wire.Client), nil // our own Plugin made it
}

// startError finds out why a plugin did not start; it may have ended meanwhile.
func (p *Process) startError(ctx, limited context.Context, err error) error {
	if ctx.Err() != nil {
		return plugins.Errorf(plugins.CodeOf(ctx.Err()), "was cancelled while it started")
	}
	if p.child.exited == nil { // never started
		return spawnError(p.command, err)
	}
	if p.child.refused != nil { // and was killed for it: how it ended says nothing
		return plugins.Errorf(plugins.CodeOf(p.child.refused), "could not be recorded: %w", p.child.refused)
	}
	if limited.Err() != nil {
		return p.withOutput(plugins.Errorf(plugins.Timeout, "gave no handshake within %s", p.startTimeout()))
	}
	wrong := p.child.handshakeError()
	if wrong != nil && !errors.Is(wrong, errNoHandshake) {
		return p.withTail(wrong) // its message quotes what was printed where that helps
	}
	ended := p.child.endsWithin(lastMoment)
	p.child.kill()
	p.child.end()
	if wrong != nil && ended {
		return p.withOutput(plugins.Errorf(plugins.Unavailable, "%s before the handshake", describeExit(p.child.state)))
	}
	if wrong != nil {
		return p.withOutput(plugins.Errorf(plugins.BadInput, "closed its standard output without a handshake"))
	}
	return p.withOutput(plugins.Errorf(plugins.Unavailable, "could not be reached: %w", err))
}

// withOutput adds the last lines of what the plugin printed: the one that tells most to the
// message, all to the detail.
func (p *Process) withOutput(err error) error {
	var e *plugins.Error
	if !errors.As(err, &e) {
		e = plugins.Errorf(plugins.CodeOf(err), "%w", err)
	}
	e.Detail = p.journal.lastLines()
	if line := tellingLine(e.Detail); line != "" {
		e.Message += ": " + excerpt(line)
	}
	return e
}

// tellingLine is the line that says why a program ended: of a Go program that panicked the one
// before its stacks, of others, a Python traceback among them, the last.
func tellingLine(text string) string {
	for line := range strings.Lines(text) {
		if strings.HasPrefix(line, "panic: ") || strings.HasPrefix(line, "fatal error: ") {
			return strings.TrimSpace(line)
		}
	}
	return strings.TrimSpace(text[strings.LastIndexByte(text, '\n')+1:])
}
