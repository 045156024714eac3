package host

import (
	"bytes"
	"os"
	"strconv"
	"strings"
	"syscall"
	"time"
)

// clockTick is the unit of times in /proc: USER_HZ, which Linux has fixed at 100 a second.
const clockTick = time.Second / 100

// RunningUsage is what a process that a Record identifies has taken so far; of the memory, what
// itself held and not its children. False when it is gone.
func RunningUsage(r Record) (Usage, bool) {
	u, _, ok := readUsage(r)
	return u, ok
}

func runningUsage(r Record) (Usage, bool) {
	u, hadChildren, ok := readUsage(r)
	return u, ok && u.PeakRSS > 0 && !hadChildren
}

// readUsage reads what the kernel tells of a process that may still run.
func readUsage(r Record) (u Usage, hadChildren, ok bool) {
	dir := "/proc/" + strconv.Itoa(r.PID) + "/"
	b, err := os.ReadFile(dir + "stat")
	if err != nil {
		return u, false, false
	}
	// From the third field on: 7 and 8 are the minor faults of itself and its children, 11 to 14
	// the times of both in user and kernel mode, 19 its start.
	f := strings.Fields(string(b[bytes.LastIndexByte(b, ')')+1:]))
	if len(f) < 20 || place()+"-"+f[19] != r.Birth {
		return u, false, false // the id is another process's by now
	}
	for _, ticks := range f[11:15] {
		n, _ := strconv.ParseInt(ticks, 10, 64)
		u.CPU += time.Duration(n) * clockTick
	}
	u.PeakRSS = 1024 * number(dir+"status", "VmHWM:")
	u.Read, u.Written = transferred(r.PID)
	return u, f[8] != "0", true
}

// transferred is how many bytes a process and those it has waited for have read and written.
// Pages of a mapped file are not read by a call: of them the device's count knows.
func transferred(pid int) (read, written int64) {
	path := "/proc/" + strconv.Itoa(pid) + "/io"
	b, err := os.ReadFile(path)
	if err != nil {
		return 0, 0
	}
	values := map[string]int64{}
	for line := range strings.Lines(string(b)) {
		name, value, _ := strings.Cut(strings.TrimSpace(line), ": ")
		values[name], _ = strconv.ParseInt(value, 10, 64)
	}
	return max(values["rchar"], values["read_bytes"]), max(values["wchar"], values["write_bytes"]-values["cancelled_write_bytes"])
}

// number reads `name value` from a file of such lines; 0 when it is not there.
func number(path, name string) int64 {
	b, err := os.ReadFile(path)
	if err != nil {
		return 0
	}
	for line := range strings.Lines(string(b)) {
		if value, ok := strings.CutPrefix(line, name); ok {
			n, _ := strconv.ParseInt(strings.Fields(value + " 0")[0], 10, 64)
			return n
		}
	}
	return 0
}

// endedUsage is what the kernel's account of an ended process says, the bytes apart. Its memory is
// never below what the engine held when it started the process, which shared it for a moment.
func endedUsage(state *os.ProcessState) Usage {
	u := Usage{CPU: state.UserTime() + state.SystemTime()}
	if r, ok := state.SysUsage().(*syscall.Rusage); ok {
		u.PeakRSS = r.Maxrss * 1024
	}
	return u
}
