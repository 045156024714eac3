//go:build linux

package engine_test

import (
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"

	"github.com/so8t/so8t/engine"
)

// ownDevices gives the test devices that no other test and no engine of the machine knows.
func ownDevices(t *testing.T, ids string) {
	t.Helper()
	t.Setenv("SO8T_GPUS", ids)
	dir, err := os.MkdirTemp("", "so8t-run")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = os.RemoveAll(dir) })
	t.Setenv("XDG_RUNTIME_DIR", dir)
}

func TestRun_GPUs_AreLeasedAndNamed(t *testing.T) {
	ownDevices(t, "3,5,7")
	h := open(t, project(t, `
version: 1
stages:
  a: { uses: probe, resources: { gpu: 2 }, with: { input: so8t.yaml, say: CUDA_VISIBLE_DEVICES } }
`))
	v := h.run(engine.Selection{}, nil)
	text, err := os.ReadFile(filepath.Join(h.StateDir(), "runs", v.Run, "stages", "a", "1", "log"))
	if err != nil || !strings.Contains(string(text), "3,5\n") {
		t.Errorf("the stage sees the devices %q, %v; want 3,5", text, err)
	}
	// The lease is in no fingerprint.
	t.Setenv("SO8T_GPUS", "9,8")
	if got := actions(h.plan(engine.Selection{}, nil)); got != "a=reuse" {
		t.Errorf("with other devices: %s", got)
	}
}

func TestPlan_FewerGPUsThanAskedFor(t *testing.T) {
	ownDevices(t, "0")
	h := open(t, project(t, "version: 1\nstages:\n  a: { uses: noop, resources: { gpu: 2 } }\n"))
	_, err := h.Run(t.Context(), h.plan(engine.Selection{}, nil), engine.RunOptions{})
	check, ok := err.(*engine.CheckError)
	if !ok || !check.ResourceMissing() || !strings.Contains(err.Error(), "asks for 2 GPUs, there is 1 (0)") {
		t.Errorf("error %v", err)
	}
}

// TestRun_GPU_OfAnotherEngine_IsWaitedForAndFreedByItsDeath: engines of two projects share a device.
func TestRun_GPU_OfAnotherEngine_IsWaitedForAndFreedByItsDeath(t *testing.T) {
	ownDevices(t, "0")
	dir := project(t, strings.ReplaceAll(slow, "uses: noop, ", "uses: noop, resources: { gpu: 1 }, "))
	first := startEngine(t, "run", dir)
	first.await(engine.Saved, "b")
	second := startEngine(t, "run", project(t, "version: 1\nname: other\nstages:\n  x: { uses: noop, resources: { gpu: 1 } }\n"))
	warned := second.await(engine.Warned, "x")
	if text, _ := warned["message"].(string); !strings.Contains(text, "waits for a GPU") || !strings.Contains(text, first.run) {
		t.Errorf("it says %q", text)
	}
	first.signal(syscall.SIGKILL)
	first.wait()
	noProcessLeft(t, dir)
	if code := second.wait(); code != 0 {
		t.Fatalf("exit %d: %s", code, second.errs)
	}
}

// TestRun_GPU_WaitEndsWithASignal: an engine that waits for a device can be interrupted.
func TestRun_GPU_WaitEndsWithASignal(t *testing.T) {
	ownDevices(t, "0")
	dir := project(t, strings.ReplaceAll(slow, "uses: noop, ", "uses: noop, resources: { gpu: 1 }, "))
	first := startEngine(t, "run", dir)
	first.await(engine.Saved, "b")
	second := startEngine(t, "run", project(t, "version: 1\nname: other\nstages:\n  x: { uses: noop, resources: { gpu: 1 } }\n"))
	second.await(engine.Warned, "x")
	second.signal(syscall.SIGINT)
	if code := second.wait(); code != 130 {
		t.Errorf("exit %d: %s", code, second.errs)
	}
	first.signal(syscall.SIGINT)
	if code := first.wait(); code != 130 {
		t.Errorf("first engine: exit %d: %s", code, first.errs)
	}
}
