package manifest

import (
	"os"
	"path/filepath"
	"runtime"

	"github.com/rogpeppe/go-internal/robustio"
)

// Disk is every durable step that publishing takes, so that a test can record their order
// and a crash hook can count them.
type Disk interface {
	// Write creates or truncates path and writes data. It does not sync.
	Write(path string, data []byte) error
	// SyncFile makes the content of a file survive a power cut.
	SyncFile(path string) error
	// SyncDir makes the names in a folder survive a power cut.
	SyncDir(path string) error
	// Rename replaces to with from, atomically.
	Rename(from, to string) error
}

// OS is the real disk.
var OS Disk = osDisk{}

type osDisk struct{}

func (osDisk) Write(path string, data []byte) error {
	return os.WriteFile(path, data, 0o644)
}

func (osDisk) SyncFile(path string) error {
	flag := os.O_RDONLY
	if runtime.GOOS == "windows" {
		flag = os.O_RDWR // FlushFileBuffers wants the right to write
	}
	f, err := os.OpenFile(path, flag, 0)
	if err != nil {
		return err
	}
	err = f.Sync()
	if cerr := f.Close(); err == nil {
		err = cerr
	}
	return err
}

func (osDisk) SyncDir(path string) error {
	if runtime.GOOS == "windows" {
		return nil // a folder cannot be flushed there; NTFS journals names
	}
	return osDisk{}.SyncFile(path)
}

// Rename tries again on Windows, which refuses while a virus scanner reads what was just written.
func (osDisk) Rename(from, to string) error { return robustio.Rename(from, to) }

// Op names one kind of step of a Disk.
type Op string

const (
	OpWrite    Op = "write"
	OpSyncFile Op = "sync"
	OpSyncDir  Op = "syncdir"
	OpRename   Op = "rename"
)

// Durable tells steps that a crash can fall before or after from a plain write.
func (o Op) Durable() bool { return o != OpWrite }

// Watched calls before ahead of every step of d; path is the target of a rename. An error
// of before is returned instead of taking the step.
func Watched(d Disk, before func(op Op, path string) error) Disk {
	return watched{d, before}
}

type watched struct {
	disk   Disk
	before func(Op, string) error
}

func (w watched) Write(path string, data []byte) error {
	if err := w.before(OpWrite, path); err != nil {
		return err
	}
	return w.disk.Write(path, data)
}

func (w watched) SyncFile(path string) error {
	if err := w.before(OpSyncFile, path); err != nil {
		return err
	}
	return w.disk.SyncFile(path)
}

func (w watched) SyncDir(path string) error {
	if err := w.before(OpSyncDir, path); err != nil {
		return err
	}
	return w.disk.SyncDir(path)
}

func (w watched) Rename(from, to string) error {
	if err := w.before(OpRename, to); err != nil {
		return err
	}
	return w.disk.Rename(from, to)
}

// WriteDurably replaces the file at path: temporary file beside it, sync, rename, sync of
// the folder. After a crash path holds the old content or the new, never a mixture.
func WriteDurably(d Disk, path string, data []byte) error {
	temp := path + ".tmp"
	if err := d.Write(temp, data); err != nil {
		return err
	}
	if err := d.SyncFile(temp); err != nil {
		return err
	}
	if err := d.Rename(temp, path); err != nil {
		return err
	}
	return d.SyncDir(filepath.Dir(path))
}
