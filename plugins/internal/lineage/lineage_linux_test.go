package lineage_test

import (
	"os"
	"os/exec"
	"slices"
	"syscall"
	"testing"
	"time"

	"github.com/so8t/so8t/plugins/internal/lineage"
)

func TestMain(m *testing.M) {
	if os.Getenv(lineage.MarkKey) == "lineage-test" {
		<-time.After(10 * time.Minute) // until it is killed
	}
	os.Exit(m.Run())
}

func start(t *testing.T, mark string) *exec.Cmd {
	t.Helper()
	cmd := exec.Command(os.Args[0], "name) with (parentheses")
	cmd.Env = append(os.Environ(), lineage.MarkKey+"="+mark)
	cmd.SysProcAttr = &syscall.SysProcAttr{Setsid: true}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = cmd.Process.Kill() })
	return cmd
}

func TestKillMarked_TheMarkedAndNoOther(t *testing.T) {
	marked := start(t, "lineage-test")
	other := exec.Command("sleep", "600")
	if err := other.Start(); err != nil {
		t.Skip("no sleep here:", err)
	}
	t.Cleanup(func() { _ = other.Process.Kill(); _ = other.Wait() })
	s := lineage.Read(marked.Process.Pid)
	if s.Birth == "" || s.Group != marked.Process.Pid {
		t.Errorf("read %+v", s)
	}
	if !slices.Contains(lineage.All(), marked.Process.Pid) || slices.Contains(lineage.All(), os.Getpid()) {
		t.Errorf("all: %v", lineage.All())
	}
	lineage.KillMarked("") // no mark is nobody's
	lineage.KillMarked("lineage-test")
	if err := marked.Wait(); err == nil || err.Error() != "signal: killed" {
		t.Errorf("it ended with %v", err)
	}
	if s := lineage.Read(other.Process.Pid); s.Birth == "" || s.State == 'Z' {
		t.Error("a process without the mark was killed")
	}
	if (lineage.Read(marked.Process.Pid) != lineage.Stat{}) {
		t.Error("a process that is gone has a stat")
	}
}
