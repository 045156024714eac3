//go:build unix

package sdk_test

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"testing"

	"github.com/so8t/so8t/plugins"
	"github.com/so8t/so8t/plugins/host"
	"github.com/so8t/so8t/plugins/manifest"
	"github.com/so8t/so8t/plugins/sdk"
)

const roleKey = "SO8T_TEST_ROLE"

func TestMain(m *testing.M) {
	if os.Getenv(roleKey) != "saving" {
		os.Exit(m.Run())
	}
	if err := sdk.Serve(saving{}); err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
}

// saving is a stage with two checkpoints and one output.
type saving struct{}

func (saving) Describe() plugins.Description {
	return plugins.Description{Name: "saving", Outputs: []plugins.Output{{Name: "out"}}}
}

func (saving) Check(context.Context, plugins.CheckRequest) (plugins.CheckReport, error) {
	return plugins.CheckReport{}, nil
}

func (saving) Run(ctx context.Context, a *plugins.Attempt) (plugins.Result, error) {
	for step := range int64(2) {
		err := a.SaveCheckpoint(ctx, step+1, func(dir string) error {
			return os.WriteFile(filepath.Join(dir, "state"), []byte(strconv.FormatInt(step, 10)), 0o644)
		})
		if err != nil {
			return plugins.Result{}, err
		}
	}
	return plugins.Result{}, os.WriteFile(filepath.Join(a.OutputDir, "out"), []byte("done"), 0o644)
}

// runSaving runs the stage with a crash before its k-th step, and returns the attempt's folder
// and the checkpoints that were reported.
func runSaving(t *testing.T, k int) (dir string, reported []string, err error) {
	t.Helper()
	dir = t.TempDir()
	a := &plugins.Attempt{Stage: "train[r=8]", OutputDir: filepath.Join(dir, "out"), CheckpointDir: filepath.Join(dir, "checkpoints")}
	if err := errors.Join(os.Mkdir(a.OutputDir, 0o755), os.Mkdir(a.CheckpointDir, 0o755)); err != nil {
		t.Fatal(err)
	}
	p, err := host.Launch(t.Context(), host.Command{Path: os.Args[0], Env: map[string]string{
		roleKey: "saving", "SO8T_CRASH_STAGE": "train[r=8]:" + strconv.Itoa(k),
	}}, host.Options{})
	if err != nil {
		t.Fatal(err)
	}
	defer p.Close()
	_, err = p.Run(t.Context(), a, func(e plugins.Event) {
		if s, ok := e.(plugins.Saved); ok {
			reported = append(reported, s.Checkpoint.Path)
		}
	})
	return dir, reported, err
}

func TestCrash_AtEveryStep_WhatIsReportedIsWhole(t *testing.T) {
	for k := 1; ; k++ {
		dir, reported, err := runSaving(t, k)
		if err == nil {
			if _, err := manifest.VerifyOutputs(filepath.Join(dir, "out"), manifest.Contents); err != nil {
				t.Error(err)
			}
			t.Logf("%d syncs and renames", k-1)
			if k-1 != 1+2*6+5 {
				t.Errorf("expected 18: one for the folder, six a checkpoint, five for the output")
			}
			return
		}
		if plugins.CodeOf(err) != plugins.Crashed || !strings.Contains(err.Error(), "SIGKILL") {
			t.Fatalf("step %d: %v", k, err)
		}
		for _, path := range reported {
			if _, err := manifest.VerifyFolder(path, manifest.Contents); err != nil {
				t.Errorf("step %d: a reported checkpoint: %v", k, err)
			}
		}
		published, _ := filepath.Glob(filepath.Join(dir, "checkpoints", "step-*"))
		for _, path := range published {
			if _, err := manifest.VerifyFolder(path, manifest.Contents); err != nil {
				t.Errorf("step %d: a published checkpoint: %v", k, err)
			}
		}
		_, err = manifest.VerifyOutputs(filepath.Join(dir, "out"), manifest.Contents)
		if err != nil && !errors.Is(err, manifest.ErrIncomplete) && !errors.Is(err, fs.ErrNotExist) {
			t.Errorf("step %d: the outputs: %v", k, err)
		}
	}
}

func TestCrash_OtherStage_GoesOn(t *testing.T) {
	p, err := host.Launch(t.Context(), host.Command{Path: os.Args[0], Env: map[string]string{
		roleKey: "saving", "SO8T_CRASH_STAGE": "train:1",
	}}, host.Options{})
	if err != nil {
		t.Fatal(err)
	}
	defer p.Close()
	dir := t.TempDir()
	a := &plugins.Attempt{Stage: "bake", OutputDir: filepath.Join(dir, "out"), CheckpointDir: filepath.Join(dir, "checkpoints")}
	if err := os.Mkdir(a.OutputDir, 0o755); err != nil {
		t.Fatal(err)
	}
	if _, err := p.Run(t.Context(), a, nil); err != nil {
		t.Error(err)
	}
}
