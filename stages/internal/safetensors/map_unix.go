//go:build unix

package safetensors

import (
	"fmt"
	"os"

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
