package engine_test

import (
	"encoding/gob"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"runtime"
	"slices"
	"strconv"
	"strings"
	"syscall"
	"unsafe"

	"golang.org/x/sys/unix"
)

// tracer runs a program and all that it starts under ptrace(2) and writes down, in order, every
// system call that changes a file below root. Nothing in the program knows of it: what bbolt, the
// journal, the sdk in the plugins and a bare os.WriteFile do is all there.
type tracer struct {
	root   string
	stdout string // a file that stands for standard output, below root
	ops    []diskOp
	inside map[int]*call // what each thread is in the middle of
	known  map[int]bool  // threads whose first stop was seen
	fault  fault
	pid    int // of the program
}

// traced is what comes out of a traced run.
type traced struct {
	Ops []diskOp
	// Exit of the program, -1 when a signal ended it.
	Exit int
	// Seen is how many calls a fault could have struck, Struck the first that it did.
	Seen   int
	Struck string
	// Errs is what the program wrote to standard error; the test puts it in.
	Errs string
}

// traceMain is the process that traces: `__trace RESULT ROOT FAULT PROGRAM ARG…`. It is one of its
// own because it waits for every child there is.
func traceMain(args []string) int {
	t := &tracer{root: args[1], stdout: filepath.Join(args[1], stdoutName), inside: map[int]*call{}, known: map[int]bool{}}
	var err error
	if t.fault, err = parseFault(args[2]); err == nil {
		err = t.run(args[3:], args[0])
	}
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		return 1
	}
	return 0
}

// stdoutName is the file in the traced folder that stands for the program's standard output.
const stdoutName = "stdout"

func (t *tracer) run(argv []string, result string) error {
	runtime.LockOSThread() // a tracer is a thread
	out, err := os.OpenFile(t.stdout, os.O_CREATE|os.O_APPEND|os.O_WRONLY, 0o644)
	if err != nil {
		return err
	}
	t.ops = append(t.ops, diskOp{Kind: opCreate, Path: t.stdout})
	p, err := os.StartProcess(argv[0], argv, &os.ProcAttr{Env: os.Environ(), Files: []*os.File{os.Stdin, out, os.Stderr}, Sys: &syscall.SysProcAttr{Ptrace: true}})
	if err != nil {
		return err
	}
	t.pid = p.Pid
	exit, err := t.follow(p.Pid)
	if err != nil {
		return err
	}
	f, err := os.Create(result)
	if err != nil {
		return err
	}
	return errors.Join(gob.NewEncoder(f).Encode(traced{Ops: t.ops, Exit: exit, Seen: t.fault.seen, Struck: t.fault.struck}), f.Close())
}

// follow goes from stop to stop until nothing that was started is left.
func (t *tracer) follow(pid int) (exit int, err error) {
	var ws syscall.WaitStatus
	if _, err := syscall.Wait4(pid, &ws, 0, nil); err != nil {
		return 0, err
	}
	options := syscall.PTRACE_O_TRACESYSGOOD | syscall.PTRACE_O_TRACEFORK | syscall.PTRACE_O_TRACEVFORK | syscall.PTRACE_O_TRACECLONE | unix.PTRACE_O_EXITKILL
	if err := syscall.PtraceSetOptions(pid, options); err != nil {
		return 0, err
	}
	t.known[pid] = true
	if err := syscall.PtraceSyscall(pid, 0); err != nil {
		return 0, err
	}
	for {
		tid, err := syscall.Wait4(-1, &ws, syscall.WALL, nil)
		switch {
		case errors.Is(err, syscall.EINTR):
			continue
		case errors.Is(err, syscall.ECHILD):
			return exit, nil
		case err != nil:
			return 0, err
		}
		if !ws.Stopped() {
			delete(t.inside, tid)
			if tid == pid {
				exit = ws.ExitStatus() // -1 for a signal
			}
			continue
		}
		signal := 0
		if ws.StopSignal() == syscall.SIGTRAP|0x80 {
			if err := t.stop(tid); err != nil {
				return 0, err
			}
		} else {
			signal = t.passed(tid, ws)
		}
		if err := syscall.PtraceSyscall(tid, signal); err != nil && !errors.Is(err, syscall.ESRCH) {
			return 0, err
		}
	}
}

// passed is the signal that a stopped thread gets: none for what ptrace itself stopped.
func (t *tracer) passed(tid int, ws syscall.WaitStatus) int {
	first := !t.known[tid]
	t.known[tid] = true
	if ws.StopSignal() == syscall.SIGTRAP || first && ws.StopSignal() == syscall.SIGSTOP {
		return 0
	}
	return int(ws.StopSignal())
}

// syscallInfo is struct ptrace_syscall_info, the same on every processor.
type syscallInfo struct {
	Op    uint8
	_     [3]uint8
	Arch  uint32
	_, _  uint64
	Value [7]uint64 // entry: number and arguments; exit: result
	_     [3]uint64
}

const (
	infoEntry = 1
	infoExit  = 2
)

// stop handles a thread that enters or leaves a system call.
func (t *tracer) stop(tid int) error {
	var info syscallInfo
	_, _, number := syscall.Syscall6(syscall.SYS_PTRACE, unix.PTRACE_GET_SYSCALL_INFO, uintptr(tid), unsafe.Sizeof(info), uintptr(unsafe.Pointer(&info)), 0, 0)
	switch {
	case number == syscall.ESRCH:
		return nil // killed meanwhile
	case number != 0:
		return number
	}
	switch info.Op {
	case infoEntry:
		c, err := t.enter(tid, int(info.Value[0]), info.Value[1:])
		if err != nil || c == nil {
			return err
		}
		t.inside[tid] = c
		if t.fault.strikes(c) {
			return t.strike(c)
		}
	case infoExit:
		c := t.inside[tid]
		delete(t.inside, tid)
		switch {
		case c == nil:
		case c.failed:
			return c.fail(t.fault.number)
		case int64(info.Value[0]) >= 0:
			return t.leave(c, int64(info.Value[0]))
		}
	}
	return nil
}

// text reads a string of the traced process.
func text(tid int, address uint64) (string, error) {
	var all []byte
	for {
		buf := make([]byte, 256-address%256) // within one page
		n, err := unix.ProcessVMReadv(tid, []unix.Iovec{{Base: &buf[0], Len: uint64(len(buf))}}, []unix.RemoteIovec{{Base: uintptr(address), Len: len(buf)}}, 0)
		if err != nil {
			return "", fmt.Errorf("reading a path of process %d: %w", tid, err)
		}
		if end := slices.Index(buf[:n], 0); end >= 0 {
			return string(append(all, buf[:end]...)), nil
		}
		all, address = append(all, buf[:n]...), address+uint64(n)
	}
}

// opened is the path of an open file, "" when it is none below root.
func (t *tracer) opened(tid int, fd uint64) string {
	path, err := os.Readlink(fmt.Sprintf("/proc/%d/fd/%d", tid, int32(fd)))
	if err != nil || strings.HasSuffix(path, " (deleted)") || !t.below(path) {
		return ""
	}
	return path
}

func (t *tracer) below(path string) bool {
	return path == t.root || strings.HasPrefix(path, t.root+"/")
}

// named is the path that a folder's descriptor and a name make, "" when it is not below root.
func (t *tracer) named(tid int, dir, address uint64) (string, error) {
	path, err := text(tid, address)
	if err != nil {
		return "", err
	}
	if !filepath.IsAbs(path) {
		from := "cwd"
		if int32(dir) != unix.AT_FDCWD {
			from = fmt.Sprintf("fd/%d", int32(dir))
		}
		base, err := os.Readlink(filepath.Join("/proc", strconv.Itoa(tid), from))
		if err != nil {
			return "", nil // not a folder: the call will fail
		}
		path = filepath.Join(base, path)
	}
	if path = filepath.Clean(path); !t.below(path) {
		return "", nil
	}
	return path, nil
}

// position is where the next write through a descriptor goes.
func position(tid int, fd uint64) (int64, error) {
	info, err := os.ReadFile(fmt.Sprintf("/proc/%d/fdinfo/%d", tid, int32(fd)))
	if err != nil {
		return 0, err
	}
	line, _, _ := strings.Cut(string(info), "\n")
	return strconv.ParseInt(strings.TrimSpace(strings.TrimPrefix(line, "pos:")), 10, 64)
}
