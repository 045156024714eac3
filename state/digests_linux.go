package state

import (
	"io/fs"
	"syscall"
)

// changeTime returns the inode's change time and number.
func changeTime(info fs.FileInfo) (ctime int64, inode uint64) {
	if st, ok := info.Sys().(*syscall.Stat_t); ok {
		return st.Ctim.Nano(), st.Ino
	}
	return 0, 0
}
