package engine_test

import (
	"errors"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"testing"

	"golang.org/x/sys/unix"
)

// processesOf finds the processes whose executable is this test binary, serving a stage, and whose
// open files or working directory lie below dir.
func processesOf(t testing.TB, dir string) []int {
	t.Helper()
	self, err := os.Readlink("/proc/self/exe")
	if err != nil {
		t.Skip("needs /proc")
	}
	entries, err := os.ReadDir("/proc")
	if err != nil {
		t.Fatal(err)
	}
	var found []int
	for _, e := range entries {
		pid, err := strconv.Atoi(e.Name())
		if err != nil || pid == os.Getpid() {
			continue
		}
		proc := filepath.Join("/proc", e.Name())
		if exe, err := os.Readlink(filepath.Join(proc, "exe")); err != nil || exe != self {
			continue
		}
		if worksIn(proc, dir) {
			found = append(found, pid)
		}
	}
	return found
}

func worksIn(proc, dir string) bool {
	if cwd, err := os.Readlink(filepath.Join(proc, "cwd")); err == nil && strings.HasPrefix(cwd, dir) {
		return true
	}
	if args, err := os.ReadFile(filepath.Join(proc, "cmdline")); err == nil && strings.Contains(string(args), dir) {
		return true
	}
	files, err := os.ReadDir(filepath.Join(proc, "fd"))
	if err != nil {
		return false
	}
	for _, f := range files {
		if to, err := os.Readlink(filepath.Join(proc, "fd", f.Name())); err == nil && strings.HasPrefix(to, dir) {
			return true
		}
	}
	return false
}

func openPID(pid int) (int, error) { return unix.PidfdOpen(pid, 0) }

// awaitPID waits for a process to end, but not for long: nothing should be left.
func awaitPID(fd int) error {
	const limit = 30_000 // ms; the machine may be busy
	for {
		n, err := unix.Poll([]unix.PollFd{{Fd: int32(fd), Events: unix.POLLIN}}, limit)
		switch {
		case errors.Is(err, unix.EINTR):
			continue
		case err != nil:
			return err
		case n == 0:
			return errors.New("it is still there")
		}
		return nil
	}
}
