//go:build !unix

package safetensors

import "os"

// mapping reads what is asked for; there is no memory mapping on this platform.
type mapping struct {
	file *os.File
	size int64
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
	return &mapping{file: f, size: st.Size()}, nil
}

func (m *mapping) bytes(offset, n int64) ([]byte, error) {
	b := make([]byte, n)
	if n == 0 {
		return b, nil
	}
	_, err := m.file.ReadAt(b, offset)
	return b, err
}

func (m *mapping) release([]byte) {}

func (m *mapping) close() error { return m.file.Close() }
