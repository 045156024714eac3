package cli_test

import (
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/so8t/so8t/plugins/examples/broken"
)

// brokenProject has one stage, a plugin with a fault, and one that is as it should be.
func brokenProject(t *testing.T, fault string) project {
	t.Helper()
	p := newProject(t, `
version: 1
name: broken
stages:
  bad: { uses: ./plugin, with: { predictions: predictions.jsonl } }
  good: { uses: noop, with: { steps: 3 } }
`)
	if err := os.Mkdir(filepath.Join(p.dir, "plugin"), 0o755); err != nil {
		t.Fatal(err)
	}
	p.write("plugin/so8t-plugin.yaml", "command: [broken-plugin]\nenv: { "+broken.RoleKey+": "+fault+", GORACE: }\nstart_timeout: 5m\n")
	p.write("predictions.jsonl", "{\"id\":\"1\"}\n")
	return p
}

// borne is what a broken plugin is to cost.
type borne struct {
	fault, outcome, says string
	log                  int64 // bytes at most
	told                 int64 // bytes of its own log lines and warnings, that the terminal gets too
}

// What no plugin may do to the engine: hang it, flood it, crash it or fill the disk. Each fault is
// one of its stage alone, and says what it was.
func TestBroken_ThroughTheEngine(t *testing.T) {
	const cut = 64<<20 + 1<<10
	for _, c := range []borne{
		{"nothing", "succeeded", "", small, 0},
		{"floods", "succeeded", "", cut, 0},
		{"long-line", "succeeded", "", 2 << 20, 0},
		{"binary", "succeeded", "", 2 << 20, 0},
		{broken.Chatters, "succeeded", "", 16 << 20, 4 << 20},
		{"crashes", "failed", "panic: oh no", small, 0},
		{"leaves", "failed", "exit status 0 before its result", small, 0},
		{"lazy", "failed", `output "scores"`, small, 0},
		{"parent", "succeeded", "", small, 0},
		{"stray-checkpoint", "succeeded", "", small, 0},
	} {
		t.Run(c.fault, func(t *testing.T) { c.test(t) })
	}
}

func (c borne) test(t *testing.T) {
	p := brokenProject(t, c.fault)
	cmd := p.command(nil, "run", "--keep-going")
	var printed strings.Builder
	cmd.Stderr = &printed
	err := cmd.Run()
	if want := c.outcome == "succeeded"; (err == nil) != want {
		t.Errorf("%v\n%s", err, printed.String())
	}
	if limit := small + int(c.told); printed.Len() > limit {
		t.Errorf("the terminal got %d bytes", printed.Len())
	}
	s := p.status()
	if len(s.Stages) != 2 || s.Stages[0].Outcome != c.outcome || s.Stages[1].Outcome != "succeeded" {
		t.Fatalf("%+v", s)
	}
	if e := s.Stages[0].Attempts[0].Error; c.says != "" && (e == nil || !strings.Contains(e.Message, c.says)) {
		t.Errorf("error %+v, want %q", e, c.says)
	}
	log, all := p.logSize(), p.stateSize()
	if log > c.log {
		t.Errorf("the log has %d bytes", log)
	}
	if all > c.log+16<<20 {
		t.Errorf("the state takes %d bytes", all)
	}
	used, _ := cmd.ProcessState.SysUsage().(*syscall.Rusage)
	t.Logf("%s: peak memory of the engine and its plugins %d MiB, log %d bytes, state %d bytes, engine's CPU time %s",
		c.fault, used.Maxrss>>10, log, all, cmd.ProcessState.UserTime()+cmd.ProcessState.SystemTime())
	if limit := int64(200 << 10); used.Maxrss > limit && raceOptions == "" {
		t.Errorf("it took %d KiB of memory", used.Maxrss)
	}
	p.noProcessLeft()
}

// small is more than a run of two stages prints.
const small = 64 << 10

// logSize is the size of the bad stage's log; there is none when it printed nothing.
func (p project) logSize() int64 {
	p.t.Helper()
	logs, err := filepath.Glob(filepath.Join(p.dir, ".so8t/runs/*/stages/bad/1/log*"))
	if err != nil || len(logs) > 1 {
		p.t.Fatalf("logs %v, %v", logs, err)
	}
	if len(logs) == 0 {
		return 0
	}
	info, err := os.Stat(logs[0])
	if err != nil {
		p.t.Fatal(err)
	}
	return info.Size()
}

// stateSize is what all of the state takes.
func (p project) stateSize() int64 {
	p.t.Helper()
	var all int64
	err := filepath.WalkDir(filepath.Join(p.dir, ".so8t"), func(_ string, d fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		info, err := d.Info()
		if err == nil && d.Type().IsRegular() {
			all += info.Size()
		}
		return err
	})
	if err != nil {
		p.t.Fatal(err)
	}
	return all
}

// A plugin that hangs while it describes itself holds nobody up who presses Ctrl-C.
func TestBroken_HangsInDescribe_Interrupted(t *testing.T) {
	p := brokenProject(t, "hangs")
	cmd := p.command(nil, "validate", "--json")
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	if !eventually(func() bool { return len(p.processes()) > 1 }) { // the plugin works in its own folder
		t.Fatal("the plugin did not start")
	}
	if err := cmd.Process.Signal(syscall.SIGINT); err != nil {
		t.Fatal(err)
	}
	over := make(chan error, 1)
	go func() { over <- cmd.Wait() }()
	select {
	case <-over:
		status, _ := cmd.ProcessState.Sys().(syscall.WaitStatus)
		if status.Signal() != syscall.SIGINT && status.ExitStatus() != 130 {
			t.Errorf("it ended with %v", cmd.ProcessState)
		}
	case <-time.After(patience):
		_ = cmd.Process.Kill()
		<-over
		t.Error("it did not end")
	}
	p.noProcessLeft()
}

// One that does not stop is killed when the user insists, and the run is interrupted.
func TestBroken_IgnoresStop_Killed(t *testing.T) {
	p := brokenProject(t, broken.Stubborn)
	b := p.start("run")
	b.await("checkpoint")
	over := make(chan int, 1)
	go func() { over <- b.wait() }()
	insist := time.NewTicker(100 * time.Millisecond)
	defer insist.Stop()
	for code := -1; code < 0; {
		select {
		case code = <-over:
			if code != 130 {
				t.Errorf("exit code %d", code)
			}
		case <-insist.C:
			_ = b.cmd.Process.Signal(syscall.SIGINT) // it may have ended
		}
	}
	if bad := p.status().Stages[0]; bad.Instance != "bad" || bad.Outcome != "interrupted" {
		t.Errorf("%+v", bad)
	}
	p.noProcessLeft()
}
