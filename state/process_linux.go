package state

import (
	"bytes"
	"errors"
	"fmt"
	"os"
	"strconv"
	"strings"

	"golang.org/x/sys/unix"
)

// startField is the position of starttime in /proc/PID/stat, counted from the field
// after the command's closing bracket (see proc_pid_stat(5): 22nd, state is the 3rd).
const startField = 22 - 3

// ProcessStart returns when a process of this system started, in the system's own unit
// (Linux: clock ticks since boot), so that a pid used again is told apart. It fails
// when there is no such process.
func ProcessStart(pid int) (uint64, error) {
	fields, err := processStat(pid)
	if err != nil {
		return 0, err
	}
	return strconv.ParseUint(fields[startField], 10, 64)
}

// processStat returns the fields of a process's stat from its state on.
func processStat(pid int) ([]string, error) {
	stat, err := os.ReadFile("/proc/" + strconv.Itoa(pid) + "/stat")
	if err != nil {
		return nil, fmt.Errorf("looking at process %d: %w", pid, err)
	}
	// The command may hold spaces and brackets itself.
	i := bytes.LastIndexByte(stat, ')')
	fields := strings.Fields(string(stat[i+1:]))
	if i < 0 || len(fields) <= startField {
		return nil, fmt.Errorf("looking at process %d: unexpected form of its stat", pid)
	}
	return fields, nil
}

// gone reports whether a process that started at start is there no more, or only waits for its
// parent to take note. One that hides from us is there.
func gone(pid int, start uint64) bool {
	if errors.Is(unix.Kill(pid, 0), unix.ESRCH) {
		return true
	}
	fields, err := processStat(pid)
	return err == nil && (fields[0] == "Z" || fields[startField] != strconv.FormatUint(start, 10))
}

// BootID tells one boot of this machine from the next; "" where the system has none.
func BootID() string {
	b, err := os.ReadFile("/proc/sys/kernel/random/boot_id")
	if err != nil {
		return ""
	}
	return strings.TrimSpace(string(b))
}

func pidNamespace() string {
	ns, err := os.Readlink("/proc/self/ns/pid")
	if err != nil {
		return ""
	}
	return ns
}
