// Package mapped gives the bytes of a file without copying them, where the system can: pages come
// and go with memory pressure, so a model of 7.7 GB needs no 7.7 GB. A file that is cut short while
// it is open ends the process; checkers look at a file's size once, when they open it.
package mapped

import (
	"fmt"
	"io"
	"os"
)

// open opens a regular file and returns its size.
func open(path string) (*os.File, int64, error) {
	f, err := os.Open(path)
	if err != nil {
		return nil, 0, err
	}
	info, err := f.Stat()
	if err == nil && !info.Mode().IsRegular() {
		err = fmt.Errorf("opening %q: it is no regular file", path)
	}
	if err != nil {
		_ = f.Close()
		return nil, 0, err
	}
	return f, info.Size(), nil
}

// Size of the file in bytes, when it was opened.
func (m *File) Size() int64 { return m.size }

// Reader reads the file, from its beginning or anywhere.
func (m *File) Reader() *io.SectionReader { return io.NewSectionReader(m.file, 0, m.size) }
