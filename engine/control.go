package engine

import "sync"

// Signal is why a run should stop: the name decides the exit code of the command line.
type Signal string

const (
	SIGINT  Signal = "SIGINT"
	SIGTERM Signal = "SIGTERM"
	SIGHUP  Signal = "SIGHUP"
	// CANCEL is a request of another process of ours.
	CANCEL Signal = "cancel"
)

// Control lets the owner of a run act on it from outside. The zero value is not usable;
// see NewControl. Its methods may be called from any goroutine, at any time.
type Control struct {
	mu     sync.Mutex
	signal Signal
	groups map[processGroup]struct{}
	paused bool
	killed bool
	stop   chan struct{}
	kill   chan struct{}
}

// processGroup is what a control can do to a running plugin.
type processGroup interface {
	Suspend() error
	Continue() error
}

// NewControl returns a control for one run.
func NewControl() *Control {
	return &Control{groups: map[processGroup]struct{}{}, stop: make(chan struct{}), kill: make(chan struct{})}
}

// Interrupt asks every running stage to checkpoint and return, and starts nothing more.
// The first call decides the signal; a second one kills.
func (c *Control) Interrupt(s Signal) {
	c.mu.Lock()
	first := c.signal == ""
	if first {
		c.signal = s
		close(c.stop)
	}
	c.mu.Unlock()
	if !first {
		c.Kill()
	}
}

// Kill ends the process groups of the running stages at once.
func (c *Control) Kill() {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.signal == "" {
		c.signal = SIGTERM
		close(c.stop)
	}
	if !c.killed {
		c.killed = true
		close(c.kill)
	}
}

// Suspend stops the process groups of the running stages; Continue lets them go on.
func (c *Control) Suspend() { c.pause(true) }

// Continue undoes Suspend.
func (c *Control) Continue() { c.pause(false) }

func (c *Control) pause(paused bool) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.paused = paused
	for g := range c.groups {
		suspendOrContinue(g, paused)
	}
}

// A group that ended meanwhile cannot be stopped, and need not be.
func suspendOrContinue(g processGroup, paused bool) {
	if paused {
		_ = g.Suspend()
		return
	}
	_ = g.Continue()
}

// Interrupted returns the first signal, or "" when there was none.
func (c *Control) Interrupted() Signal {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.signal
}

func (c *Control) add(g processGroup) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.groups[g] = struct{}{}
	if c.paused {
		suspendOrContinue(g, true)
	}
}

func (c *Control) remove(g processGroup) {
	c.mu.Lock()
	defer c.mu.Unlock()
	delete(c.groups, g)
}
