package host

import (
	"errors"
	"fmt"
	"os"
	"os/exec"
	"sync"
	"syscall"
	"time"
	"unsafe"

	"golang.org/x/sys/windows"
)

// processGroup is a job object that holds the plugin and all that it starts. The kernel ends
// them when the last handle of the job is closed, and so also when the engine is killed.
type processGroup struct {
	mu   sync.Mutex
	job  windows.Handle
	pid  int
	gone bool
}

func (g *processGroup) prepare(c *exec.Cmd) {
	if c.SysProcAttr == nil {
		c.SysProcAttr = &syscall.SysProcAttr{}
	}
	c.SysProcAttr.CreationFlags |= windows.CREATE_NEW_PROCESS_GROUP
}

func (g *processGroup) started(pid int) {
	g.mu.Lock()
	defer g.mu.Unlock()
	g.pid = pid
	job, err := windows.CreateJobObject(nil, nil)
	if err != nil {
		return // kill falls back to the process alone
	}
	info := windows.JOBOBJECT_EXTENDED_LIMIT_INFORMATION{
		BasicLimitInformation: windows.JOBOBJECT_BASIC_LIMIT_INFORMATION{LimitFlags: windows.JOB_OBJECT_LIMIT_KILL_ON_JOB_CLOSE},
	}
	_, err = windows.SetInformationJobObject(job, windows.JobObjectExtendedLimitInformation,
		uintptr(unsafe.Pointer(&info)), uint32(unsafe.Sizeof(info)))
	if err == nil {
		err = assign(job, pid)
	}
	if err != nil {
		_ = windows.CloseHandle(job)
		return
	}
	g.job = job
}

func assign(job windows.Handle, pid int) error {
	process, err := windows.OpenProcess(windows.PROCESS_SET_QUOTA|windows.PROCESS_TERMINATE, false, uint32(pid))
	if err != nil {
		return err
	}
	defer windows.CloseHandle(process)
	return windows.AssignProcessToJobObject(job, process)
}

// awaitEnd has nothing to reserve: a handle keeps the process id until Wait.
func (g *processGroup) awaitEnd() {
	process, err := windows.OpenProcess(windows.SYNCHRONIZE, false, uint32(g.pid))
	if err != nil {
		return
	}
	defer windows.CloseHandle(process)
	_, _ = windows.WaitForSingleObject(process, windows.INFINITE)
}

func (g *processGroup) kill() {
	g.mu.Lock()
	defer g.mu.Unlock()
	if g.job != 0 {
		_ = windows.TerminateJobObject(g.job, 1)
		return
	}
	if g.gone || g.pid == 0 {
		return
	}
	if p, err := os.FindProcess(g.pid); err == nil {
		_ = p.Kill()
	}
}

func (g *processGroup) reaped() {
	g.mu.Lock()
	defer g.mu.Unlock()
	g.gone = true
}

func (g *processGroup) close() {
	g.mu.Lock()
	defer g.mu.Unlock()
	if g.job != 0 {
		_ = windows.CloseHandle(g.job)
		g.job = 0
	}
}

// There is no job control to follow here.
func (g *processGroup) suspend() error { return nil }
func (g *processGroup) resume() error  { return nil }

func isFormatError(err error) bool {
	return errors.Is(err, windows.ERROR_BAD_EXE_FORMAT)
}

func killed(*os.ProcessState) bool { return false }

func describeExit(state *os.ProcessState) string {
	if state == nil {
		return "ended"
	}
	return fmt.Sprintf("ended with exit status %d", state.ExitCode())
}

func becomeSubreaper() {}

// tie has nothing to do: there is no parent-death signal.
func tie(*exec.Cmd, bool) {}

type memoryKills struct{}

func countMemoryKills() memoryKills        { return memoryKills{} }
func (memoryKills) since(memoryKills) bool { return false }
func place() string                        { return "w" }
func leftovers(Record) []Record            { return nil } // the job holds them all

// birth is the creation time of a process in units of 100 ns; "" when it is gone.
func birth(pid int) string {
	process, err := windows.OpenProcess(windows.PROCESS_QUERY_LIMITED_INFORMATION, false, uint32(pid))
	if err != nil {
		return ""
	}
	defer windows.CloseHandle(process)
	var created, exited, kernel, user windows.Filetime
	if err := windows.GetProcessTimes(process, &created, &exited, &kernel, &user); err != nil {
		return ""
	}
	if exited.Nanoseconds() > time.Unix(0, 0).UnixNano() {
		return ""
	}
	return fmt.Sprint(created.Nanoseconds())
}

func birthTicks(pid int) string { return birth(pid) }

func end(r Record) error {
	p, err := os.FindProcess(r.PID)
	if err != nil || birth(r.PID) != r.Birth {
		return nil
	}
	return p.Kill()
}

// sweepMarked ends recorded processes; what they started went with the engine's job.
func sweepMarked(records []Record) ([]Record, error) { return sweepRecorded(records) }
