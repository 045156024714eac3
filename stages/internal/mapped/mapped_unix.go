//go:build unix

package mapped

import (
	"fmt"
	"os"
	"unsafe"

	"golang.org/x/sys/unix"
)

// File is an open file, mapped into memory.
type File struct {
	file *os.File
	size int64
	data []byte
}

// Open opens a file to read.
func Open(path string) (*File, error) {
	f, size, err := open(path)
	if err != nil {
		return nil, err
	}
	m := &File{file: f, size: size}
	if size == 0 {
		return m, nil
	}
	m.data, err = unix.Mmap(int(f.Fd()), 0, int(size), unix.PROT_READ, unix.MAP_SHARED)
	if err != nil {
		_ = f.Close()
		return nil, fmt.Errorf("mapping: %w", err)
	}
	return m, nil
}

// Bytes is a view of a range inside of the file, until Close.
func (m *File) Bytes(offset, n int64) ([]byte, error) {
	return m.data[offset : offset+n : offset+n], nil
}

// releaseBytes is the least that is worth a system call: converting as much takes twenty times as
// long.
const releaseBytes = 128 << 10

// Release takes the whole pages under b out of this process's memory: who copies a model of 7.7 GB
// in pieces holds a piece. They stay in the system's cache, and come back when they are looked at.
func (m *File) Release(b []byte) {
	if len(b) < releaseBytes {
		return
	}
	page := uintptr(os.Getpagesize())
	from := int((page - uintptr(unsafe.Pointer(&b[0]))%page) % page)
	if to := from + (len(b)-from)/int(page)*int(page); to > from {
		_ = unix.Madvise(b[from:to], unix.MADV_DONTNEED) // only advice
	}
}

// Close ends all views.
func (m *File) Close() error {
	var err error
	if m.data != nil {
		err = unix.Munmap(m.data)
		m.data = nil
	}
	if closeErr := m.file.Close(); err == nil {
		err = closeErr
	}
	return err
}
