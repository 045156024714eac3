package host

import (
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"os"
	"strconv"
	"strings"
	"sync"
	"time"

	"golang.org/x/sys/unix"

	"github.com/so8t/so8t/plugins/internal/lineage"
)

// killWait is how long a process may take to be gone after SIGKILL.
const killWait = 5 * time.Second

// place tells this boot and process namespace apart from others: pids mean nothing there.
var place = sync.OnceValue(func() string {
	boot, _ := os.ReadFile("/proc/sys/kernel/random/boot_id")
	namespace, _ := os.Readlink("/proc/self/ns/pid")
	sum := sha256.Sum256([]byte(string(boot) + namespace))
	return hex.EncodeToString(sum[:4])
})

// birth is when the process started, for a Record; "" when there is no such process.
func birth(pid int) string {
	ticks := birthTicks(pid)
	if ticks == "" {
		return ""
	}
	return place() + "-" + ticks
}

// birthTicks is the start time of a process in clock ticks since boot; "" when it is gone.
func birthTicks(pid int) string { return lineage.Read(pid).Birth }

// leftovers finds what descends from the plugin after it ended: orphans became our children.
func leftovers(r Record) []Record {
	var found []Record
	for _, pid := range children() {
		s := lineage.Read(pid)
		if s.State == 'Z' && s.Group == r.PID {
			_, _ = unix.Wait4(pid, nil, unix.WNOHANG, nil) // of the plugin's group; it ended by itself
			continue
		}
		if lineage.Marked(pid, r.Mark) {
			found = append(found, Record{PID: pid, Birth: birth(pid), Mark: r.Mark})
		}
	}
	return found
}

// children lists the direct children of this process.
func children() []int {
	const tasks = "/proc/self/task"
	threads, err := lineage.Names(tasks)
	if err != nil {
		return nil
	}
	var pids []int
	known := false
	for _, thread := range threads {
		b, err := os.ReadFile(tasks + "/" + thread + "/children")
		if err != nil {
			continue // the thread ended
		}
		known = true
		for _, f := range strings.Fields(string(b)) {
			if n, err := strconv.Atoi(f); err == nil {
				pids = append(pids, n)
			}
		}
	}
	if !known { // a kernel without CONFIG_PROC_CHILDREN: look at everybody's mark
		return lineage.All()
	}
	return pids
}

// sweepMarked kills everything that has one of the records' marks, or is one of them, until a
// look around finds nothing more.
func sweepMarked(records []Record) ([]Record, error) {
	var gone []Record
	for {
		var errs []error
		n := len(gone)
		for _, pid := range lineage.All() {
			r, ok := belongs(pid, records)
			if !ok {
				continue
			}
			if err := end(r); err != nil {
				errs = append(errs, err)
				continue
			}
			gone = append(gone, r)
		}
		if len(gone) == n {
			return gone, errors.Join(errs...)
		}
	}
}

func belongs(pid int, records []Record) (Record, bool) {
	if s := lineage.Read(pid); s.State == 'Z' || s.Birth == "" {
		return Record{}, false
	}
	born := birth(pid)
	for _, r := range records {
		if r.PID == pid && r.Birth == born || lineage.Marked(pid, r.Mark) {
			return Record{PID: pid, Birth: born, Mark: r.Mark}, true
		}
	}
	return Record{}, false
}

// end kills the process that the record means, through a handle that cannot come to mean
// another one, and waits until it is gone.
func end(r Record) error {
	fd, err := unix.PidfdOpen(r.PID, 0)
	if errors.Is(err, unix.ESRCH) {
		return nil
	}
	if errors.Is(err, unix.ENOSYS) || errors.Is(err, unix.EPERM) {
		return endByPID(r)
	}
	if err != nil {
		return err
	}
	defer func() { _ = unix.Close(fd) }()
	if birth(r.PID) != r.Birth {
		return nil // it is gone; the handle is of another
	}
	if err := unix.PidfdSendSignal(fd, unix.SIGKILL, nil, 0); err != nil && !errors.Is(err, unix.ESRCH) {
		return err
	}
	deadline := time.Now().Add(killWait)
	for {
		n, err := unix.Poll([]unix.PollFd{{Fd: int32(fd), Events: unix.POLLIN}}, int(max(time.Until(deadline), 0).Milliseconds()))
		if errors.Is(err, unix.EINTR) && time.Now().Before(deadline) {
			continue
		}
		if n == 0 || err != nil {
			return errStillThere
		}
		_, _ = unix.Wait4(r.PID, nil, unix.WNOHANG, nil) // when it became our child
		return nil
	}
}

// endByPID is end for kernels and containers without process handles.
func endByPID(r Record) error {
	if birth(r.PID) != r.Birth {
		return nil
	}
	if err := unix.Kill(r.PID, unix.SIGKILL); err != nil && !errors.Is(err, unix.ESRCH) {
		return err
	}
	_, _ = unix.Wait4(r.PID, nil, 0, nil) // when it is our child; else init waits for it
	return nil
}
