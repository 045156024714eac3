package settle

import (
	"bytes"
	"crypto/sha256"
	"os"
	"path/filepath"
	"testing"
	"unsafe"

	"golang.org/x/sys/unix"
)

// cached is how many pages of a file the system's cache holds.
func cached(t *testing.T, path string) (pages, total int) {
	t.Helper()
	f, err := os.Open(path)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	st, err := f.Stat()
	if err != nil {
		t.Fatal(err)
	}
	m, err := unix.Mmap(int(f.Fd()), 0, int(st.Size()), unix.PROT_READ, unix.MAP_SHARED)
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = unix.Munmap(m) }()
	resident := make([]byte, (len(m)+os.Getpagesize()-1)/os.Getpagesize())
	if _, _, errno := unix.Syscall(unix.SYS_MINCORE, uintptr(unsafe.Pointer(&m[0])), uintptr(len(m)), uintptr(unsafe.Pointer(&resident[0]))); errno != 0 {
		t.Skip(errno)
	}
	for _, b := range resident {
		pages += int(b & 1)
	}
	return pages, len(resident)
}

// What was written of a large file is on the disk and not in the cache; the bytes are the same.
func TestWriter_LargeFileLeavesTheCache(t *testing.T) {
	var fs unix.Statfs_t
	dir := t.TempDir()
	if err := unix.Statfs(dir, &fs); err != nil || fs.Type == unix.TMPFS_MAGIC || fs.Type == unix.OVERLAYFS_SUPER_MAGIC {
		t.Skip("the file system keeps its files in memory, or may")
	}
	piece := make([]byte, 1<<20)
	for i := range piece {
		piece[i] = byte(i * 7 >> 3)
	}
	write := func(name string, every int64, forget bool) string {
		path := filepath.Join(dir, name)
		f, err := os.Create(path)
		if err != nil {
			t.Fatal(err)
		}
		defer f.Close()
		s := New(f, forget)
		s.every = every
		for range 16 {
			if _, err := s.Write(piece); err != nil {
				t.Fatal(err)
			}
		}
		if err := s.Sync(); err != nil {
			t.Fatal(err)
		}
		return path
	}
	small, kept, large := write("small", 1<<30, true), write("kept", 2<<20, false), write("large", 2<<20, true)
	for _, path := range []string{small, kept} {
		if pages, total := cached(t, path); pages < total/2 {
			t.Skipf("%d of %d pages of %s are in the cache: nothing can be seen", pages, total, filepath.Base(path))
		}
	}
	if pages, total := cached(t, large); pages > total/4 {
		t.Errorf("%d of %d pages are in the cache", pages, total)
	}
	a, err := os.ReadFile(small)
	if err != nil {
		t.Fatal(err)
	}
	b, err := os.ReadFile(large)
	if err != nil || !bytes.Equal(a, b) {
		t.Errorf("other bytes: %x, %v", sha256.Sum256(b), err)
	}
}
