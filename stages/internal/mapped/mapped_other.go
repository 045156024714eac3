//go:build !unix

package mapped

import "os"

// File reads what is asked for; there is no memory mapping on this platform.
type File struct {
	file *os.File
	size int64
}

// Open opens a file to read.
func Open(path string) (*File, error) {
	f, size, err := open(path)
	if err != nil {
		return nil, err
	}
	return &File{file: f, size: size}, nil
}

// Bytes is a range inside of the file.
func (m *File) Bytes(offset, n int64) ([]byte, error) {
	b := make([]byte, n)
	if n == 0 {
		return b, nil
	}
	_, err := m.file.ReadAt(b, offset)
	return b, err
}

// Release has nothing to let go of.
func (m *File) Release([]byte) {}

// Close closes the file.
func (m *File) Close() error { return m.file.Close() }
