//go:build unix && !linux

package host

import (
	"errors"
	"fmt"
	"os/exec"
	"syscall"

	"golang.org/x/sys/unix"
)

// There are no subreapers, parent-death signals or process environments to read here: the
// pipe and the process group end a plugin, and the sdk watches its parent.

func becomeSubreaper()                   {}
func awaitEnd(int)                       {}
func raiseOOMScore(int)                  {}
func place() string                      { return "u" }
func leftovers(Record) []Record          { return nil }
func signalName(s syscall.Signal) string { return unix.SignalName(s) }

// tie has nothing to do: there is no parent-death signal.
func tie(*exec.Cmd, bool) {}

type memoryKills struct{}

func countMemoryKills() memoryKills        { return memoryKills{} }
func (memoryKills) since(memoryKills) bool { return false }

func birthTicks(pid int) string { return birth(pid) }

// end kills a recorded process and the group that it leads.
func end(r Record) error {
	if b := birth(r.PID); b == "" || b != r.Birth {
		return nil
	}
	err := unix.Kill(-r.PID, unix.SIGKILL)
	if errors.Is(err, unix.ESRCH) {
		err = unix.Kill(r.PID, unix.SIGKILL)
	}
	if err != nil && !errors.Is(err, unix.ESRCH) {
		return fmt.Errorf("killing process %d: %w", r.PID, err)
	}
	return nil
}

func sweepMarked(records []Record) ([]Record, error) { return sweepRecorded(records) }
