package engine_test

import (
	"fmt"
	"strings"
	"testing"
)

// TestRun_DiskFailsAtAnyCall makes the n-th call fail that would write, sync, rename or make a file,
// in the engine or in a plugin, for every n: once with EIO, and from then on with ENOSPC (a full
// disk) and EROFS (a file system that the kernel has made read-only). The engine never hangs or
// dies of it, nothing is left running, what it had reported as done is, and with a disk that works
// again the same command finishes.
func TestRun_DiskFailsAtAnyCall(t *testing.T) {
	t.Parallel()
	if !canRefuse {
		t.Skip("the tracer cannot let a system call fail on this processor")
	}
	whole := project(t, checkpointed)
	r := traceRun(t, "run", whole, "1000000 EIO")
	if r.Exit != 0 || r.Seen < 100 {
		t.Fatalf("uninterrupted run: exit %d after %d changes: %s", r.Exit, r.Seen, r.Errs)
	}
	want := artifacts(t, whole, "latest")
	for i, kind := range []string{"EIO", "ENOSPC rest", "EROFS rest"} {
		every := 53 // calls between two that fail
		if fullTest() {
			every = 1
		}
		points := 0
		for n := 1 + i*every/3; n <= r.Seen; n += every {
			points++
			t.Run(fmt.Sprintf("%d %s", n, kind), func(t *testing.T) {
				t.Parallel()
				diskFails(t, fmt.Sprintf("%d %s", n, kind), want)
			})
		}
		t.Logf("%s: %d of %d calls fail", kind, points, r.Seen)
	}
}

// TestRun_LastSyncOfACommitFails: the engine says that the commit failed, and everybody who reads the
// database sees it nevertheless.
func TestRun_LastSyncOfACommitFails(t *testing.T) {
	t.Parallel()
	if !canRefuse {
		t.Skip("the tracer cannot let a system call fail on this processor")
	}
	whole := project(t, checkpointed)
	const syncs = "EIO sync state.db"
	r := traceRun(t, "run", whole, "1000000 "+syncs)
	if r.Exit != 0 || r.Seen < 20 {
		t.Fatalf("uninterrupted run: exit %d after %d syncs of the database: %s", r.Exit, r.Seen, r.Errs)
	}
	want := artifacts(t, whole, "latest")
	every := r.Seen / 2
	if fullTest() {
		every = 2
	}
	for n := r.Seen; n > 0; n -= every &^ 1 {
		t.Run(fmt.Sprint(n), func(t *testing.T) {
			t.Parallel()
			diskFails(t, fmt.Sprintf("%d %s", n, syncs), want)
		})
	}
}

func diskFails(t *testing.T, fault, want string) {
	dir := project(t, checkpointed)
	r := traceRun(t, "run", dir, fault)
	defer func() {
		if t.Failed() {
			t.Logf("the call that failed: %s; exit %d: %s", r.Struck, r.Exit, r.Errs)
		}
	}()
	if r.Exit < 0 || strings.Contains(r.Errs, "panic") {
		t.Error("the engine did not survive")
	}
	goesOn(t, "run", dir, claims(r.Ops, dir), want)
}
