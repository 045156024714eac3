package state

import (
	"context"
	"errors"
	"os"
	"path/filepath"
	"time"
)

// DeviceLocks are held by an engine while a stage uses the devices; the system releases them when
// the process dies.
type DeviceLocks struct {
	IDs   []string
	locks []*FingerprintLock
}

// LockDevices takes count of the devices. dir belongs to the machine and the user, not to a project:
// the engines of all projects share the devices. When too few are free it calls onWait with who has
// one, holds none, and looks again every moment until ctx ends: the kernel waits for one lock, and it
// may be another one that is let go first.
func LockDevices(ctx context.Context, dir string, ids []string, count int, holder Holder, onWait func(Holder)) (*DeviceLocks, error) {
	if err := os.MkdirAll(filepath.Dir(devicePath(dir, "x")), 0o700); err != nil {
		return nil, err
	}
	tick := time.NewTicker(devicesEvery)
	defer tick.Stop()
	for {
		d, busy, err := tryDevices(dir, ids, count, holder)
		if err != nil || d != nil {
			return d, err
		}
		if onWait != nil {
			onWait(holderAt(devicePath(dir, busy)))
			onWait = nil // said once
		}
		select {
		case <-ctx.Done():
			return nil, ctx.Err()
		case <-tick.C:
		}
	}
}

// devicesEvery is how often it is looked whether a device is free.
const devicesEvery = 200 * time.Millisecond

// holderAt is who has written itself into a lock last; the zero Holder when its file is gone.
func holderAt(path string) Holder {
	f, err := os.Open(path)
	if err != nil {
		return Holder{}
	}
	defer f.Close()
	return readHolder(f)
}

// tryDevices takes devices in the order of ids; nil, and one that somebody else has, when too few
// are free.
func tryDevices(dir string, ids []string, count int, holder Holder) (*DeviceLocks, string, error) {
	d := &DeviceLocks{}
	busy := ""
	for i, id := range ids {
		if len(d.IDs) == count || len(d.IDs)+len(ids)-i < count {
			break
		}
		lock, err := tryFingerprint(devicePath(dir, id), holder)
		if err != nil {
			return nil, "", errors.Join(err, d.Release())
		}
		if lock == nil {
			busy = id
			continue
		}
		d.IDs, d.locks = append(d.IDs, id), append(d.locks, lock)
	}
	if len(d.IDs) == count {
		return d, "", nil
	}
	if busy == "" {
		return nil, "", errors.Join(errors.New("there are fewer devices than are asked for"), d.Release())
	}
	return nil, busy, d.Release()
}

// Release lets all of them go.
func (d *DeviceLocks) Release() error {
	if d == nil {
		return nil
	}
	var err error
	for _, lock := range d.locks {
		err = errors.Join(err, lock.Release())
	}
	d.locks = nil
	return err
}

func lockedDevice(id string) string { return "device " + id }

func devicePath(dir, id string) string { return fingerprintPath(dir, lockedDevice(id)) }
