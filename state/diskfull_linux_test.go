package state

import (
	"context"
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"golang.org/x/sys/unix"
)

// TestDiskFull: on a full disk a transaction fails with ENOSPC and leaves everything as it
// was; when there is room again, the same store goes on.
func TestDiskFull(t *testing.T) {
	dir := t.TempDir()
	if err := unix.Mount("tmpfs", dir, "tmpfs", 0, "size=1m"); err != nil {
		t.Skipf("a small file system cannot be mounted: %v", err)
	}
	t.Cleanup(func() {
		if err := unix.Unmount(dir, unix.MNT_DETACH); err != nil {
			t.Errorf("unmounting: %v", err)
		}
	})
	s := openStore(t, dir, Options{})
	createRun(t, s, testRun)
	a := newAttempt(testRun, "train", 1)
	a.Error = &ErrorRecord{Message: strings.Repeat("x", 20<<10)}
	put := func() error {
		return s.Update(context.Background(), func(tx *Tx) error { return tx.PutAttempt(a) })
	}
	ballast := filepath.Join(dir, "ballast")
	fill, err := os.Create(ballast)
	if err != nil {
		t.Fatal(err)
	}
	for err == nil {
		_, err = fill.Write(make([]byte, 4096))
	}
	if !errors.Is(err, unix.ENOSPC) {
		t.Fatal(err)
	}
	// Room for nothing, for the journal, and for the journal and a part of the commit.
	for _, room := range []int64{0, 24 << 10, 28 << 10, 40 << 10} {
		info, err := fill.Stat()
		if err != nil {
			t.Fatal(err)
		}
		if err := fill.Truncate(info.Size() - room); err != nil {
			t.Fatal(err)
		}
		for range 40 {
			if err = put(); err != nil {
				break
			}
		}
		if !errors.Is(err, unix.ENOSPC) {
			t.Errorf("with room for %d bytes: %v", room, err)
		}
		view(t, s, func(tx *Tx) error { _, err := tx.Run(testRun); return err })
	}
	if err := errors.Join(fill.Close(), os.Remove(ballast)); err != nil {
		t.Fatal(err)
	}
	if err := put(); err != nil {
		t.Errorf("with room again: %v", err)
	}
	if findings := check(t, dir, CheckOptions{}); countDamage(findings) > 0 {
		t.Errorf("findings %+v", findings)
	}
	before, err := contentOf(dir)
	if err != nil {
		t.Fatal(err)
	}
	if err := withStore(dir, func(s *Store) error { return s.rebuild(context.Background()) }); err != nil {
		t.Fatal(err)
	}
	if after, err := contentOf(dir); err != nil || string(after) != string(before) {
		t.Errorf("rebuilt: %s, %v", after, err)
	}
}
