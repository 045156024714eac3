package engine_test

import (
	"bytes"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"golang.org/x/sys/unix"
)

// small mounts a file system with room for so many pages of 4 KiB, or for so many files and folders.
func small(t *testing.T, options string) string {
	t.Helper()
	dir := t.TempDir()
	if err := unix.Mount("tmpfs", dir, "tmpfs", 0, options); err != nil {
		t.Skipf("a small file system cannot be mounted: %v", err)
	}
	t.Cleanup(func() {
		if err := unix.Unmount(dir, unix.MNT_DETACH); err != nil {
			t.Errorf("unmounting: %v", err)
		}
	})
	return dir
}

// enlarge gives the file system as much as anybody needs.
func enlarge(t *testing.T, dir string) {
	t.Helper()
	if err := unix.Mount("tmpfs", dir, "tmpfs", unix.MS_REMOUNT, "size=64m,nr_inodes=10000"); err != nil {
		t.Fatal(err)
	}
}

// used is what a file system holds, in pages and in files and folders.
func used(t *testing.T, dir string) (pages, files int) {
	t.Helper()
	var s unix.Statfs_t
	if err := unix.Statfs(dir, &s); err != nil {
		t.Fatal(err)
	}
	return int(s.Blocks - s.Bfree), int(s.Files - s.Ffree)
}

// TestRun_DiskOfAnySize runs a workflow on real file systems of every size from one page to one that
// holds it all, and with every number of files. The engine says that it is full and lives; what it had
// reported as done is; and with room the same command finishes.
func TestRun_DiskOfAnySize(t *testing.T) {
	t.Parallel()
	whole := small(t, "size=64m")
	write(t, filepath.Join(whole, "so8t.yaml"), checkpointed)
	if code, errs := engineProcess(t, "run", whole); code != 0 {
		t.Fatalf("uninterrupted run: exit %d: %s", code, errs)
	}
	want := artifacts(t, whole, "latest")
	pages, files := used(t, whole)
	const more = 6 // than is left at the end was there meanwhile
	pages, files = pages+more, files+more
	for kind, most := range map[string]int{"size=%dk": pages, "size=64m,nr_inodes=%d": files} {
		unit, least, every := 4, 1, max(1, most/5)
		if strings.Contains(kind, "nr_inodes") {
			unit, least = 1, 3 // the folder itself, the workflow, and what is made first
		}
		if fullTest() {
			every = 1
		}
		points, failed := 0, 0
		for n := least; n <= most; n += every {
			points++
			t.Run(fmt.Sprintf(kind, n*unit), func(t *testing.T) {
				if onDisk(t, fmt.Sprintf(kind, n*unit), want) != 0 {
					failed++
				}
			})
		}
		t.Logf("%s: %d of %d sizes, %d of them too small", kind, points, most-least+1, failed)
		if failed < points/2 {
			t.Error("most of them were large enough")
		}
	}
}

// onDisk runs the workflow on a file system, and again when there is room; it returns the first exit
// code.
func onDisk(t *testing.T, options, want string) int {
	dir := small(t, options)
	if err := os.WriteFile(filepath.Join(dir, "so8t.yaml"), []byte(checkpointed), 0o644); err != nil {
		return 2 // not even that has room
	}
	cmd := exec.Command(os.Args[0], "__engine", "run", dir)
	cmd.Env = childEnviron()
	var out, errs bytes.Buffer
	cmd.Stdout, cmd.Stderr = &out, &errs
	if err := cmd.Run(); err != nil && cmd.ProcessState == nil {
		t.Fatal(err)
	}
	code := cmd.ProcessState.ExitCode()
	if code < 0 || strings.Contains(errs.String(), "panic") || code != 0 && !tellsOfRoom(out.String()+errs.String()) {
		t.Errorf("exit %d: %s%s", code, &out, &errs)
	}
	enlarge(t, dir)
	if goesOn(t, "run", dir, claimsIn(out.Bytes()), want); t.Failed() {
		t.Logf("before that: exit %d: %s", code, &errs)
	}
	return code
}

// tellsOfRoom: what the engine said names the reason.
func tellsOfRoom(text string) bool {
	return strings.Contains(text, "no space left") || strings.Contains(text, "out_of_disk") || strings.Contains(text, "are free")
}
