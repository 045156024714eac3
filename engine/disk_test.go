package engine

import (
	"errors"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"

	"github.com/so8t/so8t/plugins"
	"github.com/so8t/so8t/plugins/manifest"
)

// TestRun_DiskFull: a stage for whose outputs there is no room fails as out_of_disk, what was done
// before stays, and the next run goes on.
func TestRun_DiskFull(t *testing.T) {
	const two = "version: 1\nname: two\nstages:\n  first: { uses: fake, with: { seed: 1 } }\n  second: { uses: fake, needs: first, with: { seed: 2 } }\n"
	s := &fakeStage{run: nested}
	e := fakeEngine(t, two, s)
	full := true
	e.disk = manifest.Watched(manifest.OS, func(op manifest.Op, path string) error {
		if full && op == manifest.OpSyncFile && strings.Contains(path, "second") {
			return &os.PathError{Op: "sync", Path: path, Err: syscall.ENOSPC}
		}
		return nil
	})
	v := fakeRun(t, e)
	if v.State != "failed" || v.Stages[0].Outcome != "succeeded" || v.Stages[1].Error == nil || v.Stages[1].Error.Code != "out_of_disk" {
		t.Fatalf("%s: %+v", v.State, v.Stages)
	}
	failed := attemptDir(e.store.Dir(), v.Run, "second", 1)
	if _, err := os.Stat(failed.out()); !errors.Is(err, os.ErrNotExist) {
		t.Errorf("the outputs of the failed attempt still take space (%v)", err)
	}
	full = false
	v = fakeRun(t, e)
	if v.State != "succeeded" || v.Stages[0].Outcome != "cached" || v.Stages[1].Outcome != "succeeded" {
		t.Errorf("after making room: %s: %s %s", v.State, v.Stages[0].Outcome, v.Stages[1].Outcome)
	}
}

// TestRun_CheckpointThatLeadsNowhereIsPassedOver: two attempts from the newest checkpoint that get
// no further make the one before it the next start.
func TestRun_CheckpointThatLeadsNowhereIsPassedOver(t *testing.T) {
	var from []int64
	s := &fakeStage{}
	s.run = func(a *plugins.Attempt) (plugins.Result, error) {
		if a.Resume == nil {
			from = append(from, 0)
			for _, step := range []int64{5, 9} {
				if err := a.SaveCheckpoint(t.Context(), step, func(dir string) error {
					return os.WriteFile(filepath.Join(dir, "w"), []byte{byte(step)}, 0o644)
				}); err != nil {
					return plugins.Result{}, err
				}
			}
		} else {
			from = append(from, a.Resume.Step)
		}
		if len(from) == 5 {
			return nested(a)
		}
		return plugins.Result{}, plugins.Errorf(plugins.Crashed, "again")
	}
	e := fakeEngine(t, "version: 1\nname: one\nstages:\n  s: { uses: fake, retry: { max: 4, backoff: 1ms } }\n", s)
	v := fakeRun(t, e)
	if v.State != "succeeded" {
		t.Fatalf("%s: %+v", v.State, v.Stages)
	}
	want := []int64{0, 9, 9, 5, 5}
	for i := range want {
		if i >= len(from) || from[i] != want[i] {
			t.Fatalf("attempts started from %v, want %v", from, want)
		}
	}
}

// TestRun_DamagedCheckpointIsPassedOver: the one before it is used.
func TestRun_DamagedCheckpointIsPassedOver(t *testing.T) {
	var from []int64
	s := &fakeStage{}
	s.run = func(a *plugins.Attempt) (plugins.Result, error) {
		if a.Resume != nil {
			from = append(from, a.Resume.Step)
			return nested(a)
		}
		for _, step := range []int64{5, 9} {
			if err := a.SaveCheckpoint(t.Context(), step, func(dir string) error {
				return os.WriteFile(filepath.Join(dir, "w"), []byte{byte(step)}, 0o644)
			}); err != nil {
				return plugins.Result{}, err
			}
		}
		err := os.WriteFile(filepath.Join(a.CheckpointDir, "step-000000000009", "w"), []byte{0}, 0o644)
		return plugins.Result{}, errors.Join(plugins.Errorf(plugins.Crashed, "again"), err)
	}
	e := fakeEngine(t, "version: 1\nname: one\nstages:\n  s: { uses: fake, retry: { max: 1, backoff: 1ms } }\n", s)
	if v := fakeRun(t, e); v.State != "succeeded" || len(from) != 1 || from[0] != 5 {
		t.Errorf("%s, resumed from %v, want step 5", v.State, from)
	}
}

// TestRun_KeepsTheNewestCheckpoints: older ones are removed from the record and the disk.
func TestRun_KeepsTheNewestCheckpoints(t *testing.T) {
	s := &fakeStage{}
	s.run = func(a *plugins.Attempt) (plugins.Result, error) {
		for step := range int64(9) {
			if err := a.SaveCheckpoint(t.Context(), step+1, func(dir string) error {
				return os.WriteFile(filepath.Join(dir, "w"), []byte{byte(step)}, 0o644)
			}); err != nil {
				return plugins.Result{}, err
			}
		}
		return nested(a)
	}
	e := fakeEngine(t, oneFake, s)
	v := fakeRun(t, e)
	entries, err := os.ReadDir(attemptDir(e.store.Dir(), v.Run, "s", 1).checkpoints())
	if err != nil || len(entries) != 5 || entries[0].Name() != "step-000000000005" {
		t.Errorf("left are %v, error %v", entries, err)
	}
}
