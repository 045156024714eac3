package sdk

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"

	"github.com/so8t/so8t/plugins"
	"github.com/so8t/so8t/plugins/manifest"
)

// recorded is a disk that notes every step, relative to root.
func recorded(root string, steps *[]string) manifest.Disk {
	return manifest.Watched(manifest.OS, func(op manifest.Op, path string) error {
		rel, err := filepath.Rel(root, path)
		*steps = append(*steps, fmt.Sprintf("%s %s", op, filepath.ToSlash(rel)))
		return err
	})
}

// attemptOf is an attempt with its folders, publishing through disk.
func attemptOf(t *testing.T, root string) *plugins.Attempt {
	t.Helper()
	a := &plugins.Attempt{
		Stage: "train", Run: "1", Number: 2,
		OutputDir: filepath.Join(root, "out"), CheckpointDir: filepath.Join(root, "checkpoints"),
	}
	for _, dir := range []string{a.OutputDir, a.CheckpointDir} {
		if err := os.Mkdir(dir, 0o755); err != nil {
			t.Fatal(err)
		}
	}
	return a
}

// working is a stage with one checkpoint and nested outputs.
type working struct{ fail error }

func (working) Describe() plugins.Description {
	return plugins.Description{Name: "working", Outputs: []plugins.Output{{Name: "model"}, {Name: "curve", Path: "curve.jsonl"}}}
}

func (working) Check(context.Context, plugins.CheckRequest) (plugins.CheckReport, error) {
	return plugins.CheckReport{}, nil
}

func (w working) Run(ctx context.Context, a *plugins.Attempt) (plugins.Result, error) {
	err := a.SaveCheckpoint(ctx, 40, func(dir string) error {
		if err := os.Mkdir(filepath.Join(dir, "optimizer"), 0o755); err != nil {
			return err
		}
		if err := put(filepath.Join(dir, "weights"), "w"); err != nil {
			return err
		}
		return put(filepath.Join(dir, "optimizer", "state"), "o")
	})
	if err != nil || w.fail != nil {
		return plugins.Result{}, errors.Join(err, w.fail)
	}
	if err := os.MkdirAll(filepath.Join(a.OutputDir, "model", "shards"), 0o755); err != nil {
		return plugins.Result{}, err
	}
	return plugins.Result{}, errors.Join(
		put(filepath.Join(a.OutputDir, "model", "shards", "1"), "1"),
		put(filepath.Join(a.OutputDir, "model", "config.json"), "{}"),
		put(filepath.Join(a.OutputDir, "curve.jsonl"), "{}\n"))
}

func put(path, text string) error { return os.WriteFile(path, []byte(text), 0o644) }

func TestRun_GoldenOrder(t *testing.T) {
	root := t.TempDir()
	var steps []string
	a := attemptOf(t, root)
	a.Emit = func(e plugins.Event) { steps = append(steps, fmt.Sprintf("report %T", e)) }
	s := newServed(working{}, []Option{OnDisk(recorded(root, &steps))})
	if _, err := s.Run(t.Context(), a); err != nil {
		t.Fatal(err)
	}
	golden := `syncdir .
sync checkpoints/.step-000000000040.tmp/optimizer/state
sync checkpoints/.step-000000000040.tmp/weights
syncdir checkpoints/.step-000000000040.tmp/optimizer
write checkpoints/.step-000000000040.tmp/manifest.json.tmp
sync checkpoints/.step-000000000040.tmp/manifest.json.tmp
rename checkpoints/.step-000000000040.tmp/manifest.json
syncdir checkpoints/.step-000000000040.tmp
rename checkpoints/step-000000000040
syncdir checkpoints
report plugins.Saved
sync out/curve.jsonl
sync out/model/config.json
sync out/model/shards/1
syncdir out/model/shards
syncdir out/model
syncdir out
write manifest.json.tmp
sync manifest.json.tmp
rename manifest.json
syncdir .`
	if got := strings.Join(steps, "\n"); got != golden {
		t.Errorf("steps:\n%s\nwant:\n%s", got, golden)
	}
	if _, err := manifest.VerifyFolder(filepath.Join(a.CheckpointDir, "step-000000000040"), manifest.Contents); err != nil {
		t.Error(err)
	}
	if _, err := manifest.VerifyOutputs(a.OutputDir, manifest.Contents); err != nil {
		t.Error(err)
	}
}

func TestRun_Failed_SealsNothing(t *testing.T) {
	a := attemptOf(t, t.TempDir())
	s := newServed(working{fail: plugins.Errorf(plugins.BadInput, "no")}, nil)
	if _, err := s.Run(t.Context(), a); plugins.CodeOf(err) != plugins.BadInput {
		t.Errorf("got %v", err)
	}
	if _, err := manifest.VerifyOutputs(a.OutputDir, manifest.Sizes); !errors.Is(err, manifest.ErrIncomplete) {
		t.Errorf("got %v", err)
	}
}

// lazy says that it succeeded and leaves nothing.
type lazy struct{ working }

func (lazy) Run(context.Context, *plugins.Attempt) (plugins.Result, error) {
	return plugins.Result{}, nil
}

func TestRun_MissingOutput_IsAnError(t *testing.T) {
	a := attemptOf(t, t.TempDir())
	_, err := newServed(lazy{}, nil).Run(t.Context(), a)
	if plugins.CodeOf(err) != plugins.Internal || !strings.Contains(err.Error(), `output "model" is missing`) {
		t.Errorf("got %v", err)
	}
}

func TestPublish_EveryFailure_LeavesNoCheckpoint(t *testing.T) {
	for k := 1; ; k++ {
		a := attemptOf(t, t.TempDir())
		n := 0
		disk := manifest.Watched(manifest.OS, func(op manifest.Op, _ string) error {
			if n++; n == k {
				return syscall.ENOSPC
			}
			return nil
		})
		p := &publisher{disk: disk, dir: a.CheckpointDir}
		c, err := p.publish(t.Context(), plugins.Checkpoint{Step: 1}, func(dir string) error { return put(filepath.Join(dir, "w"), "w") })
		if err == nil {
			if k < 8 {
				t.Errorf("only %d steps", k-1)
			}
			return
		}
		if plugins.CodeOf(err) != plugins.OutOfDisk {
			t.Errorf("step %d: %v", k, err)
		}
		entries, _ := os.ReadDir(a.CheckpointDir)
		// The last step is the sync of the folder: the checkpoint is there and whole.
		if _, verr := manifest.VerifyFolder(c.Path, manifest.Contents); len(entries) > 0 && verr != nil {
			t.Errorf("step %d leaves %v: %v", k, entries, verr)
		}
	}
}

func TestPublish_SameStepTwice_WritesOnce(t *testing.T) {
	a := attemptOf(t, t.TempDir())
	p := &publisher{disk: manifest.OS, dir: a.CheckpointDir}
	n := 0
	write := func(dir string) error { n++; return put(filepath.Join(dir, "w"), "w") }
	for range 2 {
		if _, err := p.publish(t.Context(), plugins.Checkpoint{Step: 5}, write); err != nil {
			t.Fatal(err)
		}
	}
	if n != 1 {
		t.Errorf("written %d times", n)
	}
	if _, err := p.publish(t.Context(), plugins.Checkpoint{Step: -1}, write); err == nil {
		t.Error("a negative step was accepted")
	}
	if _, err := p.publish(t.Context(), plugins.Checkpoint{Step: 6}, func(string) error { return errors.New("stop") }); err == nil {
		t.Error("a failed write was published")
	}
	if entries, _ := os.ReadDir(a.CheckpointDir); len(entries) != 1 {
		t.Errorf("the folder holds %v", entries)
	}
}
