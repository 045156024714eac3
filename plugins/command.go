package plugins

import (
	"bytes"
	"context"
	"errors"
	"os/exec"
	"time"
)

// Cmd is an exec.Cmd for the programs and servers that a stage starts: it dies with the
// stage. On Linux the kernel sees to that, even when the stage is killed; elsewhere the
// process group or job of the plugin does, when the engine ends it.
type Cmd struct {
	*exec.Cmd
	// Slack is by how much the kernel may put off a timer of the program, to save waking it up;
	// 0 is the kernel's own choice. Only Linux asks.
	Slack time.Duration
}

// Command is exec.CommandContext for a stage: the program stays in the stage's process group
// and does not outlive the stage. After ctx ends, pipes held open by the program's own
// children delay Wait by at most 5 s.
func Command(ctx context.Context, name string, args ...string) *Cmd {
	c := exec.CommandContext(ctx, name, args...)
	c.WaitDelay = 5 * time.Second
	return &Cmd{Cmd: c}
}

// Start starts the program from a thread that lives as long as the process, because a
// parent-death signal is sent when the starting *thread* ends.
func (c *Cmd) Start() error { return startTied(c.Cmd, c.Slack) }

// Run starts the program and waits for it.
func (c *Cmd) Run() error {
	if err := c.Start(); err != nil {
		return err
	}
	return c.Wait()
}

// Output runs the program and returns its standard output.
func (c *Cmd) Output() ([]byte, error) {
	if c.Stdout != nil {
		return nil, errors.New("plugins: Stdout already set")
	}
	var out bytes.Buffer
	c.Stdout = &out
	err := c.Run()
	return out.Bytes(), err
}

// CombinedOutput runs the program and returns what it printed on both streams.
func (c *Cmd) CombinedOutput() ([]byte, error) {
	if c.Stdout != nil || c.Stderr != nil {
		return nil, errors.New("plugins: Stdout or Stderr already set")
	}
	var out bytes.Buffer
	c.Stdout, c.Stderr = &out, &out
	err := c.Run()
	return out.Bytes(), err
}
