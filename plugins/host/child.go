package host

import (
	"context"
	"errors"
	"io"
	"os"
	"os/exec"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"github.com/hashicorp/go-plugin/runner"

	"github.com/so8t/so8t/plugins"
)

// child is the process of a plugin, as go-plugin's runner. go-plugin gets to see one valid
// handshake line and nothing else of what the process prints.
type child struct {
	cmd     *plugins.Cmd
	group   processGroup
	out     *stream // standard output after the handshake
	err     *stream
	started func(Record) error
	mark    string
	builtin bool

	record    Record
	lifeline  *os.File // held open; its end tells the plugin that we are gone
	stdout    *os.File
	stderr    *os.File
	handshake *io.PipeReader
	copies    sync.WaitGroup
	memory    memoryKills // counters before the start

	// refused is why the process, though it started, may not run: it could not be recorded.
	refused error

	exited chan struct{} // closed when the process has been waited for
	state  *os.ProcessState
	used   Usage

	// starting: go-plugin may not kill the process, or how it ends would be hidden.
	starting atomic.Bool

	mu    sync.Mutex
	wrong error // with the handshake
}

var _ runner.Runner = (*child)(nil)

// Start implements runner.Runner.
func (c *child) Start(context.Context) error {
	ends, err := c.pipes()
	if err != nil {
		return err
	}
	c.group.prepare(c.cmd.Cmd)
	tie(c.cmd.Cmd, c.builtin)
	c.memory = countMemoryKills()
	err = c.cmd.Start()
	for _, f := range ends {
		_ = f.Close() // the child has its own
	}
	if err != nil {
		c.closePipes()
		return err
	}
	c.exited = make(chan struct{})
	c.group.started(c.cmd.Process.Pid)
	c.record = Record{PID: c.cmd.Process.Pid, Birth: birth(c.cmd.Process.Pid), Mark: c.mark}
	go c.wait()
	c.copy()
	if c.started != nil {
		if err := c.started(c.record); err != nil {
			c.kill()
			c.refused = err
			return err
		}
	}
	return nil
}

// pipes makes the three standard streams and returns the child's ends.
func (c *child) pipes() ([]*os.File, error) {
	var ends []*os.File
	for _, p := range []struct {
		ours   **os.File
		theirs func(*os.File)
		input  bool
	}{
		{&c.lifeline, func(f *os.File) { c.cmd.Stdin = f }, true},
		{&c.stdout, func(f *os.File) { c.cmd.Stdout = f }, false},
		{&c.stderr, func(f *os.File) { c.cmd.Stderr = f }, false},
	} {
		r, w, err := os.Pipe()
		if err != nil {
			c.closePipes()
			for _, f := range ends {
				_ = f.Close()
			}
			return nil, err
		}
		if p.input {
			r, w = w, r
		}
		*p.ours = r
		p.theirs(w)
		ends = append(ends, w)
	}
	return ends, nil
}

func (c *child) closePipes() {
	for _, f := range []*os.File{c.lifeline, c.stdout, c.stderr} {
		if f != nil {
			_ = f.Close()
		}
	}
}

// wait waits for the process. What is left of its group is killed while its pid is still
// reserved, so that the id cannot be another group's.
func (c *child) wait() {
	defer close(c.exited)
	c.group.awaitEnd()
	c.group.kill()
	read, written := transferred(c.record.PID)
	_ = c.cmd.Wait() // the state says it all
	c.group.reaped()
	c.state = c.cmd.ProcessState
	if c.state != nil {
		c.used = endedUsage(c.state)
		c.used.Read, c.used.Written = read, written
	}
}

// copy starts the goroutines that read what the process prints.
func (c *child) copy() {
	r, w := io.Pipe()
	c.handshake = r
	c.copies.Go(func() {
		line, rest, err := readHandshake(c.stdout)
		wrong := errNoHandshake
		if err == nil || line != "" {
			wrong = checkHandshake(line)
		}
		if wrong == nil {
			_, _ = io.WriteString(w, line+"\n")
		} else {
			c.mu.Lock()
			c.wrong = wrong
			c.mu.Unlock()
			_, _ = c.out.Write([]byte(line))
		}
		_ = w.Close()
		_, _ = c.out.Write(rest)
		drain(c.out, c.stdout)
		c.out.flush()
	})
	c.copies.Go(func() {
		drain(c.err, c.stderr)
		c.err.flush()
	})
}

// drain copies until the other end is closed by everybody or ours is.
func drain(to io.Writer, from io.Reader) {
	_, _ = io.CopyBuffer(struct{ io.Writer }{to}, struct{ io.Reader }{from}, make([]byte, maxLine))
}

// handshakeError is what was wrong with the first line, or nil.
func (c *child) handshakeError() error {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.wrong
}

// kill ends the process group.
func (c *child) kill() { c.group.kill() }

// end waits for the process, which somebody has told to end or killed, and for its last
// words. Who still holds its streams open after that has no more to say.
func (c *child) end() {
	<-c.exited
	_ = c.handshake.Close() // nobody may be reading it
	done := make(chan struct{})
	go func() { c.copies.Wait(); close(done) }()
	select {
	case <-done:
	case <-time.After(time.Second):
	}
	c.closePipes()
	<-done
	c.group.close()
}

// endsWithin says whether the process ends within a time.
func (c *child) endsWithin(d time.Duration) bool {
	select {
	case <-c.exited:
		return true
	case <-time.After(d):
		return false
	}
}

// Diagnose implements runner.Runner.
func (c *child) Diagnose(context.Context) string { return "" }

// Stdout implements runner.Runner.
func (c *child) Stdout() io.ReadCloser { return c.handshake }

// Stderr implements runner.Runner: go-plugin's parser of log lines gets nothing, because it
// can be made to panic.
func (c *child) Stderr() io.ReadCloser { return io.NopCloser(strings.NewReader("")) }

// Name implements runner.Runner.
func (c *child) Name() string { return c.cmd.Path }

// Wait implements runner.Runner.
func (c *child) Wait(context.Context) error {
	<-c.exited
	if c.state == nil || !c.state.Success() {
		return errors.New("the plugin did not end well")
	}
	return nil
}

// Kill implements runner.Runner.
func (c *child) Kill(context.Context) error {
	if !c.starting.Load() {
		c.kill()
	}
	return nil
}

// ID implements runner.Runner.
func (c *child) ID() string { return strconv.Itoa(c.record.PID) }

// PluginToHost implements runner.Runner: both are on this machine.
func (c *child) PluginToHost(network, address string) (string, string, error) {
	return network, address, nil
}

// HostToPlugin implements runner.Runner.
func (c *child) HostToPlugin(network, address string) (string, string, error) {
	return network, address, nil
}

// spawnError says why the program could not be started at all.
func spawnError(c Command, err error) error {
	var notFound *exec.Error
	switch {
	case errors.As(err, &notFound) && errors.Is(err, exec.ErrNotFound):
		return plugins.Errorf(plugins.BadInput, "there is no program %q on PATH", c.Path)
	case errors.Is(err, os.ErrPermission):
		return plugins.Errorf(plugins.BadInput, "%q is not executable: chmod +x it", c.Path)
	case errors.Is(err, os.ErrNotExist):
		if _, serr := os.Stat(c.Path); serr == nil {
			return plugins.Errorf(plugins.BadInput, "%q could not be started: the interpreter that its first line names, or its working folder %q, is not there", c.Path, c.Dir)
		}
		return plugins.Errorf(plugins.BadInput, "there is no program %q", c.Path)
	case isFormatError(err):
		return plugins.Errorf(plugins.BadInput, "%q is no program for this machine: a script needs a first line like #!/usr/bin/env python3", c.Path)
	}
	return plugins.Errorf(plugins.Unavailable, "starting %q: %w", c.Path, err)
}
