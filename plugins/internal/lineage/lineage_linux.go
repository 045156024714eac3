// Package lineage finds processes by the mark that every process descending from one launch
// of a plugin inherits in its environment.
package lineage

import (
	"bytes"
	"os"
	"strconv"
	"strings"
	"syscall"
)

// MarkKey is the variable that holds the mark.
const MarkKey = "SO8T_PLUGIN_MARK"

// Stat is what we use of /proc/PID/stat. The zero value is a process that is not there.
type Stat struct {
	State byte // 'Z' is a zombie
	Group int
	Birth string // clock ticks since boot
}

// Read reads it.
func Read(pid int) Stat {
	b, err := os.ReadFile("/proc/" + strconv.Itoa(pid) + "/stat")
	if err != nil {
		return Stat{}
	}
	// The second field, the name, may hold anything, parentheses too.
	i := bytes.LastIndexByte(b, ')')
	f := strings.Fields(string(b[i+1:]))
	if len(f) < 20 {
		return Stat{}
	}
	group, _ := strconv.Atoi(f[2])
	return Stat{State: f[0][0], Group: group, Birth: f[19]}
}

// Marked says whether a process inherited the mark. It is unreadable for other users'
// processes and empty for zombies.
func Marked(pid int, mark string) bool {
	if mark == "" {
		return false
	}
	b, err := os.ReadFile("/proc/" + strconv.Itoa(pid) + "/environ")
	if err != nil {
		return false
	}
	for v := range bytes.SplitSeq(b, []byte{0}) {
		if string(v) == MarkKey+"="+mark {
			return true
		}
	}
	return false
}

// All lists every process but this one.
func All() []int {
	all, err := Names("/proc")
	if err != nil {
		return nil
	}
	var pids []int
	for _, name := range all {
		if n, err := strconv.Atoi(name); err == nil && n != os.Getpid() {
			pids = append(pids, n)
		}
	}
	return pids
}

// Names lists a folder, unsorted.
func Names(dir string) ([]string, error) {
	f, err := os.Open(dir)
	if err != nil {
		return nil, err
	}
	defer f.Close()
	return f.Readdirnames(-1)
}

// KillMarked kills every other process that has the mark, again and again until a look around
// finds none that is alive: one that was about to start another may have done so.
func KillMarked(mark string) {
	for {
		found := false
		for _, pid := range All() {
			if Marked(pid, mark) && Read(pid).State != 'Z' && syscall.Kill(pid, syscall.SIGKILL) == nil {
				found = true
			}
		}
		if !found {
			return
		}
	}
}
