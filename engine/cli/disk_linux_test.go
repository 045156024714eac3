package cli_test

import (
	"os"
	"path/filepath"
	"syscall"
	"testing"
)

// TestRun_DiskFull fills a small file system: the stage fails as out_of_disk, what was done before
// stays, and with room again the next run goes on.
func TestRun_DiskFull(t *testing.T) {
	dir := t.TempDir()
	if err := syscall.Mount("tmpfs", dir, "tmpfs", 0, "size=4m"); err != nil {
		t.Skipf("mounting a small file system: %v", err)
	}
	t.Cleanup(func() {
		if err := syscall.Unmount(dir, 0); err != nil {
			t.Error(err)
		}
	})
	large := filepath.Join(t.TempDir(), "large")
	if err := os.WriteFile(large, make([]byte, 3<<20), 0o644); err != nil {
		t.Fatal(err)
	}
	p := project{t, dir}
	p.write("so8t.yaml", `
version: 1
name: full
params: { large: { type: path } }
stages:
  first: { uses: noop, with: { trace: trace } }
  second: { uses: cutter, needs: [first], with: { file: "${params.large}", bytes: 3145728 } }
`)
	p.write("ballast", string(make([]byte, 2<<20)))
	args := []string{"run", "--param", "large=" + large}
	p.want(1, args...)
	s := p.status()
	second := s.Stages[1]
	if s.Stages[0].Outcome != "succeeded" || second.Outcome != "failed" || second.Attempts[0].Error == nil || second.Attempts[0].Error.Code != "out_of_disk" {
		t.Errorf("on a full disk: %+v", s)
	}
	p.want(0, "check")
	if err := os.Remove(filepath.Join(dir, "ballast")); err != nil {
		t.Fatal(err)
	}
	p.want(0, args...)
	if s := p.status(); s.Stages[0].Outcome != "cached" || s.Stages[1].Outcome != "succeeded" {
		t.Errorf("with room again: %+v", s)
	}
}
