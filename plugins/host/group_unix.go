//go:build unix

package host

import (
	"errors"
	"fmt"
	"os"
	"os/exec"
	"sync"
	"syscall"
)

// processGroup is the process group that a plugin leads. A group id is given again like a
// pid: nothing is sent to it once its leader has been waited for.
type processGroup struct {
	mu   sync.Mutex
	id   int
	gone bool
}

func (g *processGroup) prepare(c *exec.Cmd) {
	if c.SysProcAttr == nil {
		c.SysProcAttr = &syscall.SysProcAttr{}
	}
	c.SysProcAttr.Setpgid = true
}

func (g *processGroup) started(pid int) {
	g.mu.Lock()
	g.id = pid
	g.mu.Unlock()
	raiseOOMScore(pid)
}

func (g *processGroup) awaitEnd() { awaitEnd(g.id) }

func (g *processGroup) reaped() {
	g.mu.Lock()
	defer g.mu.Unlock()
	g.gone = true
}

func (g *processGroup) close() {}

func (g *processGroup) signal(s syscall.Signal) error {
	g.mu.Lock()
	defer g.mu.Unlock()
	if g.gone || g.id == 0 {
		return nil
	}
	err := syscall.Kill(-g.id, s)
	if errors.Is(err, syscall.ESRCH) || errors.Is(err, syscall.EPERM) {
		return nil // nobody left but the zombie
	}
	return err
}

func (g *processGroup) kill()            { _ = g.signal(syscall.SIGKILL) }
func (g *processGroup) suspend() error   { return g.signal(syscall.SIGSTOP) }
func (g *processGroup) resume() error    { return g.signal(syscall.SIGCONT) }
func isFormatError(err error) bool       { return errors.Is(err, syscall.ENOEXEC) }
func killed(state *os.ProcessState) bool { return signalOf(state) == syscall.SIGKILL }

func signalOf(state *os.ProcessState) syscall.Signal {
	if state == nil {
		return 0
	}
	if ws, ok := state.Sys().(syscall.WaitStatus); ok && ws.Signaled() {
		return ws.Signal()
	}
	return 0
}

// describeExit says how a process ended, as the end of "the plugin …".
func describeExit(state *os.ProcessState) string {
	if s := signalOf(state); s != 0 {
		return fmt.Sprintf("was killed by %s", signalName(s))
	}
	if state == nil {
		return "ended"
	}
	return fmt.Sprintf("ended with exit status %d", state.ExitCode())
}
