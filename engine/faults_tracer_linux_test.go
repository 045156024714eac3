package engine_test

import (
	"fmt"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
)

// fault makes system calls fail that would change something below root, or kills the program when
// one is about to happen.
type fault struct {
	// at is the first call that is struck, counted from 1; 0 = none. rest: so are all after it.
	at   int
	rest bool
	// number is the error that they return; 0 = the program is killed instead.
	number syscall.Errno
	// only counts calls of one kind on files of one name, as "sync state.db"; "" = all.
	only   string
	seen   int
	struck string // the first one that was
}

// parseFault reads "N KILL", "N ERRNO", "N ERRNO rest" or "N ERRNO KIND NAME"; "" is none.
func parseFault(s string) (fault, error) {
	var f fault
	fields := strings.Fields(s)
	if len(fields) < 2 {
		return f, nil
	}
	at, err := strconv.Atoi(fields[0])
	f.at, f.rest = at, len(fields) == 3
	if len(fields) == 4 {
		f.only = fields[2] + " " + fields[3]
	}
	f.number = map[string]syscall.Errno{"EIO": syscall.EIO, "ENOSPC": syscall.ENOSPC, "EROFS": syscall.EROFS}[fields[1]]
	return f, err
}

// strikes reports whether a call is one that is struck. Standard output and the trace of the stages
// are the test's own, and a full disk lets files go.
func (f *fault) strikes(c *call) bool {
	base := filepath.Base(c.path)
	if f.at == 0 || base == stdoutName || base == "trace" || f.number == syscall.ENOSPC && c.kind == opRemove {
		return false
	}
	if f.only != "" && f.only != fmt.Sprintf("%s %s", c.kind, base) {
		return false
	}
	f.seen++
	if f.seen < f.at || f.seen > f.at && !f.rest {
		return false
	}
	if f.struck == "" {
		f.struck = fmt.Sprintf("%s %s", c.kind, c.path)
	}
	return true
}

// strike lets the call fail, or ends the program.
func (t *tracer) strike(c *call) error {
	if t.fault.number == 0 {
		return syscall.Kill(t.pid, syscall.SIGKILL)
	}
	c.failed = true
	return c.refuse()
}
