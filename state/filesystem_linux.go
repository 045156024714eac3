package state

import (
	"errors"
	"fmt"

	"golang.org/x/sys/unix"
)

// cannotLock names the file systems whose locks may be missing, local to one machine, or
// lost when a connection is; by the magic number of statfs(2).
func cannotLock(magic int64) (name string, bad bool) {
	switch uint32(magic) {
	case 0x6969:
		return "NFS", true
	case 0x01021997:
		return "9p", true
	case 0xFF534D42, 0xFE534D42, 0x517B:
		return "CIFS (SMB)", true
	case 0x65735546:
		return "FUSE", true
	case 0x5346414F, 0x6B414653:
		return "AFS", true
	case 0x73757245:
		return "Coda", true
	case 0x00C36400:
		return "Ceph", true
	}
	return "", false
}

// checkFileSystem refuses a folder whose file system cannot lock.
func checkFileSystem(dir string) error {
	var st unix.Statfs_t
	for {
		err := unix.Statfs(dir, &st)
		if errors.Is(err, unix.EINTR) {
			continue
		}
		if err != nil {
			return fmt.Errorf("looking at the file system of %q: %w", dir, err)
		}
		break
	}
	if name, bad := cannotLock(int64(st.Type)); bad { //nolint:unconvert // 32 bits on some machines
		return &CannotLockError{Path: dir, FileSystem: name}
	}
	return nil
}
