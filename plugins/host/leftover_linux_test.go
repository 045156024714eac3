package host_test

import (
	"bufio"
	"encoding/json"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"github.com/so8t/so8t/plugins"
	"github.com/so8t/so8t/plugins/host"
)

// handle is a process that a test watches; its id cannot come to mean another one.
type handle struct {
	pid int
	fd  int
}

func open(t *testing.T, pid int) handle {
	t.Helper()
	fd, err := unix.PidfdOpen(pid, 0)
	if err != nil {
		t.Fatalf("process %d: %v", pid, err)
	}
	t.Cleanup(func() { unix.Close(fd) })
	return handle{pid, fd}
}

// ends says whether the process ends within a time.
func (h handle) ends(d time.Duration) bool {
	for deadline := time.Now().Add(d); ; {
		n, err := unix.Poll([]unix.PollFd{{Fd: int32(h.fd), Events: unix.POLLIN}}, int(max(0, time.Until(deadline)).Milliseconds()))
		if err != unix.EINTR {
			return err == nil && n == 1
		}
	}
}

// pidIn finds the number after a word in a line.
func pidIn(t *testing.T, line, word string) int {
	t.Helper()
	var pid int
	_, after, _ := strings.Cut(line, word+" ")
	if _, err := fmt.Sscan(after, &pid); err != nil {
		t.Fatalf("no %s in %q", word, line)
	}
	return pid
}

func TestClose_OrphanInOwnSession_IsEnded(t *testing.T) {
	p := launch(t, self("stage"), host.Options{})
	var orphan handle
	_, err := p.Run(t.Context(), attempt(t, "orphan", ""), func(e plugins.Event) {
		if l, ok := e.(plugins.LogLine); ok {
			orphan = open(t, pidIn(t, l.Message, "orphan"))
		}
	})
	if err != nil {
		t.Fatal(err)
	}
	if orphan.ends(0) {
		t.Fatal("the orphan ended by itself")
	}
	left := p.Close()
	if len(left) != 1 || left[0].PID != orphan.pid {
		t.Errorf("left behind: %v", left)
	}
	if !orphan.ends(0) {
		t.Error("the orphan is still there")
	}
}

func TestClose_LeavesOthersAlone(t *testing.T) {
	bystander := exec.Command(os.Args[0])
	pid, err := startSleeper(bystander, "")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = bystander.Process.Kill(); _ = bystander.Wait() })
	other := launch(t, self("stage"), host.Options{})
	p := launch(t, self("stage"), host.Options{})
	if _, err := p.Run(t.Context(), attempt(t, "nothing", ""), nil); err != nil {
		t.Fatal(err)
	}
	p.Close()
	if open(t, pid).ends(0) {
		t.Error("a process that is no plugin's was ended")
	}
	if _, err := other.Describe(t.Context()); err != nil {
		t.Errorf("another plugin was ended: %v", err)
	}
}

// fakeEngine starts an engine that runs a stage, and returns it with the record of the plugin
// and the line that the stage logged.
func fakeEngine(t *testing.T, do string) (*exec.Cmd, host.Record, string) {
	t.Helper()
	cmd := exec.Command(os.Args[0])
	cmd.Env = append(os.Environ(), roleKey+"=engine", "SO8T_TEST_DO="+do, "SO8T_TEST_DIR="+t.TempDir())
	cmd.Stderr = os.Stderr
	// A session of its own, as a terminal's: when it dies, the stopped group of a plugin is
	// orphaned, whoever becomes the plugin's parent, and the kernel lets it go on.
	cmd.SysProcAttr = &syscall.SysProcAttr{Setsid: true}
	out, err := cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = cmd.Process.Kill(); _ = cmd.Wait() })
	line, err := bufio.NewReader(out).ReadString('\n')
	if err != nil {
		t.Fatalf("the engine said %q: %v", line, err)
	}
	var record host.Record
	text, rest, _ := strings.Cut(line, " ")
	if err := json.Unmarshal([]byte(text), &record); err != nil {
		t.Fatalf("%q: %v", line, err)
	}
	t.Cleanup(func() { _, _ = host.Sweep([]host.Record{record}) }) // when the test failed
	return cmd, record, rest
}

func TestEngineKilled_PluginAndItsServerDie(t *testing.T) {
	cmd, record, line := fakeEngine(t, "server")
	plugin, server := open(t, record.PID), open(t, pidIn(t, line, "server"))
	if plugin.ends(0) || server.ends(0) {
		t.Fatal("they ended by themselves")
	}
	if err := cmd.Process.Kill(); err != nil {
		t.Fatal(err)
	}
	if !plugin.ends(5 * time.Second) {
		t.Error("the plugin is still there")
	}
	if !server.ends(5 * time.Second) {
		t.Error("the server, in a session of its own, is still there")
	}
}

func TestEngineKilled_BuiltinStage_UntiedGrandchildDies(t *testing.T) {
	t.Setenv("SO8T_TEST_BUILTIN", "yes")
	cmd, record, line := fakeEngine(t, "orphan")
	plugin, orphan := open(t, record.PID), open(t, pidIn(t, line, "orphan"))
	if orphan.ends(0) {
		t.Fatal("it ended by itself")
	}
	if err := cmd.Process.Kill(); err != nil {
		t.Fatal(err)
	}
	if !plugin.ends(5*time.Second) || !orphan.ends(5*time.Second) {
		t.Error("the plugin or what it started is still there")
	}
}

// stopped says whether every thread of a process is stopped.
func stopped(t *testing.T, pid int) bool {
	t.Helper()
	files, err := filepath.Glob(fmt.Sprintf("/proc/%d/task/*/stat", pid))
	if err != nil || len(files) == 0 {
		t.Fatalf("process %d is gone: %v", pid, err)
	}
	for _, f := range files {
		if b, err := os.ReadFile(f); err == nil && !strings.Contains(string(b), ") T ") {
			return false
		}
	}
	return true
}

func TestEngineKilled_WhileSuspended_NothingStays(t *testing.T) {
	t.Setenv("SO8T_TEST_BUILTIN", "yes")
	cmd, record, line := fakeEngine(t, "orphan")
	plugin, orphan := open(t, record.PID), open(t, pidIn(t, line, "orphan"))
	if err := unix.Kill(-record.PID, unix.SIGSTOP); err != nil {
		t.Fatal(err)
	}
	for !stopped(t, record.PID) { // there is no event for somebody who is not its parent
	}
	if err := cmd.Process.Kill(); err != nil {
		t.Fatal(err)
	}
	if !plugin.ends(5*time.Second) || !orphan.ends(5*time.Second) {
		t.Error("the plugin or what it started is still there")
	}
}

func TestEngineKilled_UntiedGrandchild_IsSwept(t *testing.T) {
	cmd, record, line := fakeEngine(t, "orphan")
	plugin, orphan := open(t, record.PID), open(t, pidIn(t, line, "orphan"))
	if err := cmd.Process.Kill(); err != nil {
		t.Fatal(err)
	}
	if !plugin.ends(5 * time.Second) {
		t.Error("the plugin is still there")
	}
	if orphan.ends(0) {
		t.Fatal("the orphan ended by itself")
	}
	gone, err := host.Sweep([]host.Record{record})
	if err != nil || len(gone) != 1 || gone[0].PID != orphan.pid {
		t.Errorf("swept %v, %v", gone, err)
	}
	if !orphan.ends(0) {
		t.Error("the orphan is still there")
	}
}

func TestSweep_ReusedPID_IsSpared(t *testing.T) {
	cmd := exec.Command(os.Args[0])
	pid, err := startSleeper(cmd, "")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = cmd.Process.Kill(); _ = cmd.Wait() })
	h := open(t, pid)
	gone, err := host.Sweep([]host.Record{{PID: pid, Birth: "0-1", Mark: "another"}, {PID: pid}})
	if err != nil || len(gone) != 0 || h.ends(0) {
		t.Errorf("swept %v, %v", gone, err)
	}
}

func TestPlugin_DiesFirstWhenMemoryRunsOut(t *testing.T) {
	p := launch(t, self("stage"), host.Options{})
	read := func(who string) (n int) {
		b, err := os.ReadFile("/proc/" + who + "/oom_score_adj")
		if err != nil {
			t.Fatal(err)
		}
		if _, err := fmt.Sscan(string(b), &n); err != nil {
			t.Fatal(err)
		}
		return n
	}
	own, its := read("self"), read(fmt.Sprint(p.Record().PID))
	if its <= own && its != 1000 {
		t.Errorf("oom_score_adj is %d, ours %d", its, own)
	}
}

func TestSockets_PrivateShortAndGone(t *testing.T) {
	runtime := shortDir(t)
	t.Setenv("XDG_RUNTIME_DIR", runtime)
	t.Setenv("TMPDIR", filepath.Join(t.TempDir(), strings.Repeat("long", 40)))
	p := launch(t, self("stage"), host.Options{})
	found := socketsBelow(t, runtime)
	if len(found) != 1 {
		t.Fatalf("sockets: %v", found)
	}
	if len(found[0]) > 107 {
		t.Errorf("the path has %d bytes", len(found[0]))
	}
	private := filepath.Dir(filepath.Dir(found[0]))
	if info, err := os.Stat(private); err != nil || info.Mode().Perm() != 0o700 {
		t.Errorf("%s: %v, %v", private, info.Mode(), err)
	}
	p.Close()
	if _, err := os.Stat(private); !os.IsNotExist(err) {
		t.Errorf("%s is still there", private)
	}
}

// socketsBelow finds the sockets of this process's plugins.
func socketsBelow(t *testing.T, bases ...string) []string {
	t.Helper()
	var found []string
	for _, base := range bases {
		m, err := filepath.Glob(fmt.Sprintf("%s/so8t-*-%d-*/*/*", base, os.Getpid()))
		if err != nil {
			t.Fatal(err)
		}
		found = append(found, m...)
	}
	return found
}

func TestSockets_OfKilledEngine_AreSwept(t *testing.T) {
	base := shortDir(t)
	t.Setenv("XDG_RUNTIME_DIR", base)
	cmd, _, _ := fakeEngine(t, "server")
	before, _ := filepath.Glob(base + "/so8t-*")
	if len(before) != 1 {
		t.Fatalf("folders: %v", before)
	}
	_ = cmd.Process.Kill()
	_ = cmd.Wait()
	// A second engine sweeps what the first left, and leaves nothing itself.
	second, _, _ := fakeEngine(t, "server")
	now, _ := filepath.Glob(base + "/so8t-*")
	if len(now) != 1 || now[0] == before[0] {
		t.Errorf("folders: %v, before %v", now, before)
	}
	_ = second.Process.Kill()
}

// shortDir is a private folder whose path leaves room for a socket's.
func shortDir(t *testing.T) string {
	t.Helper()
	dir, err := os.MkdirTemp("/tmp", "s8")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { os.RemoveAll(dir) })
	return dir
}
