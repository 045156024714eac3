package host

import (
	"errors"
	"fmt"
	"os"
	"os/exec"
	"strconv"
	"strings"
	"sync"
	"syscall"

	"golang.org/x/sys/unix"
)

// oomScoreRaise makes the kernel choose a plugin before the engine when memory runs out.
const oomScoreRaise = 300

// becomeSubreaper makes orphans of plugins our children, once.
var becomeSubreaper = sync.OnceFunc(func() {
	_ = unix.Prctl(unix.PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0) // since Linux 3.4
})

// tie chooses the signal that a plugin gets when the engine is gone. A built-in stage has the
// sdk, which then (told by its standard input) kills what the stage started, down to the last shell's child, and itself. A
// foreign one may not listen, and is killed; what it started is swept by the next engine.
func tie(c *exec.Cmd, builtin bool) {
	c.SysProcAttr.Pdeathsig = syscall.SIGKILL
	if builtin {
		c.SysProcAttr.Pdeathsig = syscall.SIGTERM
	}
}

// awaitEnd returns when the process has ended, without waiting for it in the sense of wait:
// its pid stays reserved.
func awaitEnd(pid int) {
	for {
		err := unix.Waitid(unix.P_PID, pid, nil, unix.WEXITED|unix.WNOWAIT, nil)
		if !errors.Is(err, unix.EINTR) {
			return
		}
	}
}

func raiseOOMScore(pid int) {
	own, err := os.ReadFile("/proc/self/oom_score_adj")
	if err != nil {
		return
	}
	n, err := strconv.Atoi(strings.TrimSpace(string(own)))
	if err != nil {
		return
	}
	path := "/proc/" + strconv.Itoa(pid) + "/oom_score_adj"
	_ = os.WriteFile(path, []byte(strconv.Itoa(min(n+oomScoreRaise, 1000))), 0) // best effort
}

func signalName(s syscall.Signal) string {
	if name := unix.SignalName(s); name != "" {
		return name
	}
	return fmt.Sprintf("signal %d", int(s))
}

// memoryKills are the kernel's counters of processes killed for lack of memory: of our own
// control group and of the machine.
type memoryKills struct{ group, machine int64 }

func countMemoryKills() memoryKills {
	return memoryKills{group: counter(memoryEvents(), "oom_kill"), machine: counter("/proc/vmstat", "oom_kill")}
}

// since says whether a process was killed for lack of memory after the earlier count.
func (m memoryKills) since(before memoryKills) bool {
	return m.group > before.group || m.machine > before.machine
}

// memoryEvents is the file of our control group that counts; it does not move in our life.
var memoryEvents = sync.OnceValue(func() string {
	b, err := os.ReadFile("/proc/self/cgroup")
	if err != nil {
		return ""
	}
	for line := range strings.Lines(string(b)) {
		f := strings.SplitN(strings.TrimSpace(line), ":", 3)
		switch {
		case len(f) == 3 && f[0] == "0":
			return "/sys/fs/cgroup" + strings.TrimSuffix(f[2], "/") + "/memory.events"
		case len(f) == 3 && f[1] == "memory":
			return "/sys/fs/cgroup/memory" + strings.TrimSuffix(f[2], "/") + "/memory.oom_control"
		}
	}
	return ""
})

// counter reads one `name value` line of a file; 0 when it is not there.
func counter(path, name string) int64 {
	if path == "" {
		return 0
	}
	b, err := os.ReadFile(path)
	if err != nil {
		return 0
	}
	for line := range strings.Lines(string(b)) {
		if value, ok := strings.CutPrefix(line, name+" "); ok {
			n, _ := strconv.ParseInt(strings.TrimSpace(value), 10, 64)
			return n
		}
	}
	return 0
}
