// Package settle writes large files so that their pages are brought to the disk while the next are
// made: writing 7.7 GB must not end in a long sync, nor, where it is wanted, push 7.7 GB of other
// things out of the system's cache.
package settle

import "os"

// Bytes is how much is written before the system is asked to bring it to the disk. A file of less
// is left alone.
const Bytes = 64 << 20

// Writer writes a file from its beginning, and must be ended with Sync.
type Writer struct {
	file   *os.File
	forget bool
	every  int64
	// Bytes before gone are on the disk; those before begun are on their way there.
	written, begun, gone int64
}

// New writes to a file that is empty. With forget a large one leaves the cache as it comes to the
// disk: right for what is not read again soon.
func New(f *os.File, forget bool) *Writer { return &Writer{file: f, forget: forget, every: Bytes} }

func (w *Writer) Write(p []byte) (int, error) {
	n, err := w.file.Write(p)
	w.written += int64(n)
	if err == nil && w.written-w.begun >= w.every {
		begin(w.file, w.begun, w.written-w.begun)
		err = w.finish(w.begun)
		w.begun = w.written
	}
	return n, err
}

// Sync brings the rest to the disk.
func (w *Writer) Sync() error {
	if err := w.file.Sync(); err != nil || w.begun == 0 {
		return err
	}
	return w.finish(w.written)
}

// finish waits until everything before a place is on the disk.
func (w *Writer) finish(before int64) error {
	err := finish(w.file, w.gone, before-w.gone, w.forget)
	w.gone = before
	return err
}
