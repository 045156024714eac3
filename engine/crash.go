package engine

import (
	"fmt"
	"os"
	"strconv"
	"strings"
	"sync"

	"github.com/so8t/so8t/plugins/manifest"
)

// crashPoints counts the durable steps of this process (journal syncs, commits, renames, plugin
// starts) and, for tests, ends the process without any clean-up just before one of them.
type crashPoints struct {
	at  int // 0 = never
	log string
	// observe, when set, is told of each step instead of counting it; tests set it.
	observe func(kind, what string) error

	mu sync.Mutex
	n  int
}

// newCrashPoints reads SO8T_CRASH_AT and SO8T_CRASH_LOG.
func newCrashPoints(getenv func(string) string) (*crashPoints, error) {
	c := &crashPoints{log: getenv("SO8T_CRASH_LOG")}
	text := getenv("SO8T_CRASH_AT")
	if text == "" {
		return c, nil
	}
	at, err := strconv.Atoi(text)
	if err != nil || at < 1 {
		return nil, fmt.Errorf("SO8T_CRASH_AT: %q is no number ≥ 1", text)
	}
	c.at = at
	return c, nil
}

// step is called just before each durable step.
func (c *crashPoints) step(kind, what string) error {
	if c.observe != nil {
		return c.observe(kind, what)
	}
	if c.at == 0 && c.log == "" {
		return nil
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	c.n++
	if err := c.record(kind, what); err != nil {
		return err
	}
	if c.n == c.at {
		die()
	}
	return nil
}

func (c *crashPoints) record(kind, what string) error {
	if c.log == "" {
		return nil
	}
	f, err := os.OpenFile(c.log, os.O_APPEND|os.O_CREATE|os.O_WRONLY, 0o644)
	if err != nil {
		return fmt.Errorf("writing SO8T_CRASH_LOG: %w", err)
	}
	_, err = fmt.Fprintf(f, "%d %s %s\n", c.n, kind, what)
	if closeErr := f.Close(); err == nil {
		err = closeErr
	}
	return err
}

// beforeCommit is the hook of the state; what begins with "journal" or "commit".
func (c *crashPoints) beforeCommit(what string) error {
	kind, rest, _ := strings.Cut(what, " ")
	return c.step(kind, rest)
}

// watch counts the renames of d.
func (c *crashPoints) watch(d manifest.Disk) manifest.Disk {
	return manifest.Watched(d, func(op manifest.Op, path string) error {
		if op != manifest.OpRename {
			return nil
		}
		return c.step(string(op), shortPath(path))
	})
}

// shortPath is the end of a path, from the folder of stages on: the same in every run.
func shortPath(path string) string {
	const stages = string(os.PathSeparator) + "stages" + string(os.PathSeparator)
	if i := strings.LastIndex(path, stages); i >= 0 {
		return path[i+len(stages):]
	}
	return path
}

// die ends the process as kill -9 does.
func die() {
	if self, err := os.FindProcess(os.Getpid()); err == nil {
		_ = self.Kill()
	}
	select {} // the signal is on its way
}
