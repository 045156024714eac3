package safetensors

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
func TestSettling_LargeFileLeavesTheCache(t *testing.T) {
	var fs unix.Statfs_t
	dir := t.TempDir()
	if err := unix.Statfs(dir, &fs); err != nil || fs.Type == unix.TMPFS_MAGIC || fs.Type == unix.OVERLAYFS_SUPER_MAGIC {
		t.Skip("the file system keeps its files in memory, or may")
	}
	piece := make([]byte, 1<<20)
	for i := range piece {
		piece[i] = byte(i * 7 >> 3)
	}
	write := func(name string, every int64) string {
		path := filepath.Join(dir, name)
		f, err := os.Create(path)
		if err != nil {
			t.Fatal(err)
		}
		defer f.Close()
		s := settling{file: f, every: every}
		for range 16 {
			if _, err := s.Write(piece); err != nil {
				t.Fatal(err)
			}
		}
		if err := f.Sync(); err != nil {
			t.Fatal(err)
		}
		if err := s.forget(); err != nil {
			t.Fatal(err)
		}
		return path
	}
	small, large := write("small", 1<<30), write("large", 2<<20)
	if pages, total := cached(t, small); pages < total/2 {
		t.Skipf("%d of %d pages of an ordinary file are in the cache: nothing can be seen", pages, total)
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

func TestCopyTo(t *testing.T) {
	path := filepath.Join(t.TempDir(), "x.safetensors")
	data := make([]byte, 2*rawChunk+6)
	for i := range data {
		data[i] = byte(i >> 4)
	}
	if err := Write(path, []Tensor{FromBytes("x", BF16, []int{len(data) / 2}, data)}, nil); err != nil {
		t.Fatal(err)
	}
	s, err := Open(path)
	if err != nil {
		t.Fatal(err)
	}
	defer s.Close()
	before := filePages(t)
	var out bytes.Buffer
	out.Grow(len(data))
	if err := s.CopyTo(&out, "x"); err != nil || !bytes.Equal(out.Bytes(), data) {
		t.Errorf("%d other bytes, %v", out.Len(), err)
	}
	if grown := (filePages(t) - before) * os.Getpagesize(); grown > rawChunk {
		t.Errorf("%d bytes of the file stay", grown)
	}
	if err := s.CopyTo(&out, "y"); err == nil {
		t.Error("a tensor that is not there was copied")
	}
}
