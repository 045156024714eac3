package engine_test

import (
	"fmt"
	"io"
	"os"

	"golang.org/x/sys/unix"
)

// opKind is one way to change a file or folder.
type opKind string

const (
	opCreate   opKind = "create"
	opMkdir    opKind = "mkdir"
	opWrite    opKind = "write"
	opTruncate opKind = "truncate"
	opSync     opKind = "sync"
	opRename   opKind = "rename"
	opRemove   opKind = "remove"
)

// diskOp is one change that a program made, or the sync that makes changes durable.
type diskOp struct {
	Kind   opKind
	Path   string // absolute
	To     string // of a rename
	Offset int64  // of a write
	Data   []byte // of a write
	Size   int64  // of a truncation
	// Covers is how many operations had been made when a sync began: those it makes durable.
	Covers int
}

func (o diskOp) String() string {
	switch o.Kind {
	case opWrite:
		return fmt.Sprintf("%s %s %d+%d", o.Kind, o.Path, o.Offset, len(o.Data))
	case opRename:
		return fmt.Sprintf("%s %s %s", o.Kind, o.Path, o.To)
	}
	return fmt.Sprintf("%s %s", o.Kind, o.Path)
}

// call is a system call that a thread is in.
type call struct {
	tid    int
	kind   opKind
	number int
	args   []uint64
	path   string
	to     string
	covers int
	// existed: the file was there when it was opened.
	existed bool
	failed  bool
}

// enter looks at a call before it happens; nil when it can change nothing below root.
func (t *tracer) enter(tid, number int, args []uint64) (*call, error) {
	c := &call{tid: tid, number: number, args: args, covers: len(t.ops)}
	var err error
	switch number {
	case unix.SYS_OPENAT:
		if args[2]&(unix.O_CREAT|unix.O_TRUNC) == 0 {
			return nil, nil
		}
		c.kind = opCreate
		c.path, err = t.named(tid, args[0], args[1])
		_, statErr := os.Lstat(c.path)
		c.existed = statErr == nil
	case unix.SYS_MKDIRAT:
		c.kind = opMkdir
		c.path, err = t.named(tid, args[0], args[1])
	case unix.SYS_UNLINKAT:
		c.kind = opRemove
		c.path, err = t.named(tid, args[0], args[1])
	case unix.SYS_RENAMEAT, unix.SYS_RENAMEAT2:
		c.kind = opRename
		if c.path, err = t.named(tid, args[0], args[1]); err == nil {
			c.to, err = t.named(tid, args[2], args[3])
		}
	case unix.SYS_TRUNCATE:
		c.kind = opTruncate
		c.path, err = t.named(tid, 0, args[0])
	case unix.SYS_FTRUNCATE:
		c.kind, c.path = opTruncate, t.opened(tid, args[0])
	case unix.SYS_WRITE, unix.SYS_PWRITE64, unix.SYS_WRITEV, unix.SYS_SENDFILE:
		c.kind, c.path = opWrite, t.opened(tid, args[0])
	case unix.SYS_COPY_FILE_RANGE, unix.SYS_SPLICE:
		c.kind, c.path = opWrite, t.opened(tid, args[2])
	case unix.SYS_FSYNC, unix.SYS_FDATASYNC:
		c.kind, c.path = opSync, t.opened(tid, args[0])
	case unix.SYS_MMAP:
		if args[2]&unix.PROT_WRITE != 0 && args[3]&unix.MAP_SHARED != 0 && t.opened(tid, args[4]) != "" {
			return nil, fmt.Errorf("%s is written through a mapping, which cannot be followed", t.opened(tid, args[4]))
		}
	case unix.SYS_LINKAT, unix.SYS_SYMLINKAT, unix.SYS_FALLOCATE, unix.SYS_PWRITEV, unix.SYS_PWRITEV2:
		return nil, fmt.Errorf("system call %d is new here: teach the tracer to follow it", number)
	}
	if err != nil || c.kind == "" || c.path == "" {
		return nil, err
	}
	return c, nil
}

// leave writes down what a call has done that returned n.
func (t *tracer) leave(c *call, n int64) error {
	op := diskOp{Kind: c.kind, Path: c.path, To: c.to}
	switch c.kind {
	case opCreate:
		if c.existed {
			if c.args[2]&unix.O_TRUNC == 0 {
				return nil
			}
			op.Kind = opTruncate
		}
	case opTruncate:
		op.Size = int64(c.args[1])
	case opSync:
		op.Covers = c.covers
	case opWrite:
		var err error
		if op.Offset, err = c.offset(n); err != nil {
			return err
		}
		if op.Data, err = readBack(c.path, op.Offset, n); err != nil {
			return err
		}
	}
	t.ops = append(t.ops, op)
	return nil
}

// offset is where the n bytes of a write have gone.
func (c *call) offset(n int64) (int64, error) {
	if c.number == unix.SYS_PWRITE64 {
		return int64(c.args[3]), nil
	}
	fd := c.args[0]
	if c.number == unix.SYS_COPY_FILE_RANGE || c.number == unix.SYS_SPLICE {
		fd = c.args[2]
	}
	end, err := position(c.tid, fd)
	return end - n, err
}

// readBack takes what was written from the file: the thread that wrote it is stopped.
func readBack(path string, offset, n int64) ([]byte, error) {
	f, err := os.Open(path)
	if err != nil {
		return nil, err
	}
	defer f.Close()
	data := make([]byte, n)
	_, err = io.ReadFull(io.NewSectionReader(f, offset, n), data)
	return data, err
}
