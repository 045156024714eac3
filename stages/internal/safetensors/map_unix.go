//go:build unix

package safetensors

import (
	"fmt"
	"os"
	"unsafe"

	"golang.org/x/sys/unix"
)

// mapping gives the bytes of a file without copying them: pages come and go with memory
// pressure, so a 7.7 GB model needs no 7.7 GB.
type mapping struct {
	file *os.File
	size int64
	data []byte
}

func openMapping(path string) (*mapping, error) {
	f, err := os.Open(path)
	if err != nil {
		return nil, err
	}
	st, err := f.Stat()
	if err != nil {
		_ = f.Close()
		return nil, err
	}
	m := &mapping{file: f, size: st.Size()}
	if m.size == 0 {
		return m, nil
	}
	m.data, err = unix.Mmap(int(f.Fd()), 0, int(m.size), unix.PROT_READ, unix.MAP_SHARED)
	if err != nil {
		_ = f.Close()
		return nil, fmt.Errorf("mapping: %w", err)
	}
	return m, nil
}

// bytes is a view; the header was checked against size, so the range is inside.
func (m *mapping) bytes(offset, n int64) ([]byte, error) {
	return m.data[offset : offset+n : offset+n], nil
}

// releaseBytes is the least that is worth a system call.
const releaseBytes = 1 << 20

// release takes the whole pages under b out of this process's memory: who copies a model of 7.7 GB
// in pieces holds a piece. They stay in the system's cache, and come back when they are looked at.
func (m *mapping) release(b []byte) {
	if len(b) < releaseBytes {
		return
	}
	page := uintptr(os.Getpagesize())
	from := int((page - uintptr(unsafe.Pointer(&b[0]))%page) % page)
	if to := from + (len(b)-from)/int(page)*int(page); to > from {
		_ = unix.Madvise(b[from:to], unix.MADV_DONTNEED) // only advice
	}
}

func (m *mapping) close() error {
	var err error
	if m.data != nil {
		err = unix.Munmap(m.data)
		m.data = nil
	}
	if cerr := m.file.Close(); err == nil {
		err = cerr
	}
	return err
}
