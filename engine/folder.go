package engine

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"

	"github.com/so8t/so8t/plugins/manifest"
	"github.com/so8t/so8t/state"
)

// attemptFolder is where one attempt writes: its final name from the start, never used again.
//
//	out/            the outputs
//	manifest.json   what out holds; written last
//	scratch/        gone afterwards
//	checkpoints/    one folder each, with its manifest inside
//	log             what the stage printed
//	metrics.jsonl   every reported value
//	resumed.json    which attempt it went on from
//	result.json     final metrics and the fingerprint's parts; not synced, see readResult
type attemptFolder string

func attemptDir(stateDir, run, instance string, number int) attemptFolder {
	return attemptFolder(state.AttemptDir(stateDir, run, instance, number))
}

func (f attemptFolder) join(name string) string { return filepath.Join(string(f), name) }
func (f attemptFolder) out() string             { return f.join("out") }
func (f attemptFolder) scratch() string         { return f.join("scratch") }
func (f attemptFolder) checkpoints() string     { return f.join("checkpoints") }
func (f attemptFolder) log() string             { return f.join("log") }
func (f attemptFolder) metrics() string         { return f.join("metrics.jsonl") }
func (f attemptFolder) result() string          { return f.join("result.json") }

// create makes the folder. One of the same name was never recorded, so no stage ran in it: the
// engine ended between making it and starting the attempt.
//
// The folders of scratch and of checkpoints are made for foreign plugins only: the sdk makes them
// when they are needed.
func (f attemptFolder) create(foreign bool) error {
	err := os.Mkdir(string(f), 0o777)
	if errors.Is(err, fs.ErrExist) {
		if err = os.RemoveAll(string(f)); err == nil {
			err = os.Mkdir(string(f), 0o777)
		}
	}
	if errors.Is(err, fs.ErrNotExist) {
		err = os.MkdirAll(string(f), 0o777)
	}
	if err != nil {
		return fmt.Errorf("making the attempt's folder: %w", err)
	}
	folders := []string{f.out()}
	if foreign {
		folders = append(folders, f.scratch(), f.checkpoints())
	}
	for _, dir := range folders {
		if err := os.Mkdir(dir, 0o777); err != nil {
			return fmt.Errorf("making the attempt's folder: %w", err)
		}
	}
	return nil
}

// syncNames makes the folder's own name survive a power cut. The folder of the instance was made
// with the run. The names in it are synced by whoever seals outputs and checkpoints: the sdk, and
// with own, which a foreign plugin may not do, we.
func (f attemptFolder) syncNames(d manifest.Disk, own bool) error {
	if own {
		if err := d.SyncDir(string(f)); err != nil {
			return err
		}
	}
	return d.SyncDir(filepath.Dir(string(f)))
}

// removeFolder removes a folder that is mostly empty, which costs less than looking into it.
func removeFolder(path string) error {
	if os.Remove(path) == nil {
		return nil
	}
	return os.RemoveAll(path)
}
