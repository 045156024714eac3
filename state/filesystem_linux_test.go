package state

import (
	"errors"
	"os"
	"testing"
)

func TestFileSystemsThatCannotLock(t *testing.T) {
	// Magic numbers from linux/magic.h and fs/smb; the second group is local.
	for magic, want := range map[int64]string{
		0x6969: "NFS", 0x01021997: "9p", 0xFF534D42: "CIFS (SMB)", 0xFE534D42: "CIFS (SMB)", 0x65735546: "FUSE",
		0xEF53: "", 0x58465342: "", 0x9123683E: "", 0x01021994: "", 0x794C7630: "",
	} {
		if name, bad := cannotLock(magic); name != want || bad != (want != "") {
			t.Errorf("%#x: %q, %v", magic, name, bad)
		}
	}
	// 32-bit systems give the number with a sign.
	if _, bad := cannotLock(int64(int32(-11317950))); !bad {
		t.Error("CIFS with a sign is not known")
	}
}

func TestProcessStart(t *testing.T) {
	own, err := ProcessStart(os.Getpid())
	if err != nil || own == 0 {
		t.Errorf("own: %d, %v", own, err)
	}
	if _, err := ProcessStart(1 << 30); !errors.Is(err, os.ErrNotExist) {
		t.Errorf("no process: %v", err)
	}
	h := Self("so8t run", testRun)
	if h.PID != os.Getpid() || h.Start != own || h.BootID == "" || h.PIDNS == "" {
		t.Errorf("self: %+v", h)
	}
}
