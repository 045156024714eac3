package settle

import (
	"errors"
	"os"

	"golang.org/x/sys/unix"
)

// begin asks for a range to be written to the disk and does not wait. Errors are Sync's to tell.
func begin(f *os.File, offset, n int64) {
	_ = unix.SyncFileRange(int(f.Fd()), offset, n, unix.SYNC_FILE_RANGE_WRITE)
}

// finish waits until a range is on the disk, and takes it out of the cache if it is to. The system tells each
// failure to write once, so it must be told here; a system that cannot do this says so otherwise.
func finish(f *os.File, offset, n int64, forget bool) error {
	if n == 0 {
		return nil // a length of 0 is the rest of the file
	}
	err := unix.SyncFileRange(int(f.Fd()), offset, n, unix.SYNC_FILE_RANGE_WAIT_BEFORE|unix.SYNC_FILE_RANGE_WRITE|unix.SYNC_FILE_RANGE_WAIT_AFTER)
	if forget {
		_ = unix.Fadvise(int(f.Fd()), offset, n, unix.FADV_DONTNEED)
	}
	if errors.Is(err, unix.EIO) || errors.Is(err, unix.ENOSPC) || errors.Is(err, unix.EDQUOT) {
		return err
	}
	return nil
}
