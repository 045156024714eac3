package safetensors

import "os"

// settleBytes is how much is written before the system is asked to bring it to the disk.
const settleBytes = 64 << 20

// settling writes a file from its beginning. Of a large one the pages are brought to the disk
// while the next are made, and leave the system's cache: writing 7.7 GB must not push 7.7 GB of
// other things out of memory, nor end in a long sync. A file of less than settleBytes is left
// alone.
type settling struct {
	file  *os.File
	every int64
	// Bytes before gone have left the cache; those before begun are on their way to the disk.
	written, begun, gone int64
}

func (s *settling) Write(p []byte) (int, error) {
	n, err := s.file.Write(p)
	s.written += int64(n)
	if err == nil && s.written-s.begun >= s.every {
		begin(s.file, s.begun, s.written-s.begun)
		err = finish(s.file, s.gone, s.begun-s.gone)
		s.gone, s.begun = s.begun, s.written
	}
	return n, err
}

// forget lets go of what is left of a large file that has been synced.
func (s *settling) forget() error {
	if s.begun == 0 {
		return nil
	}
	return finish(s.file, s.gone, s.written-s.gone)
}
