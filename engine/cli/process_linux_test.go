package cli_test

import (
	"bufio"
	"bytes"
	"encoding/json"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"
)

// patience is how long something that must come soon may take on a busy machine.
const patience = 30 * time.Second

// eventually looks until something is so.
func eventually(so func() bool) bool {
	tick := time.NewTicker(10 * time.Millisecond)
	defer tick.Stop()
	for end := time.Now().Add(patience); !so(); <-tick.C {
		if time.Now().After(end) {
			return false
		}
	}
	return true
}

// project is a folder with a workflow, in which the program is run.
type project struct {
	t   *testing.T
	dir string
}

func newProject(t *testing.T, workflow string) project {
	t.Helper()
	p := project{t, t.TempDir()}
	p.write("so8t.yaml", workflow)
	return p
}

func (p project) write(name, text string) {
	p.t.Helper()
	if err := os.WriteFile(filepath.Join(p.dir, name), []byte(text), 0o644); err != nil {
		p.t.Fatal(err)
	}
}

func (p project) command(env []string, args ...string) *exec.Cmd {
	cmd := exec.Command("so8t", args...)
	cmd.Dir = p.dir
	cmd.Env = append(os.Environ(), "FIXTURES="+fixtures(p.t))
	cmd.Env = append(cmd.Env, env...)
	return cmd
}

// run runs the program to its end; code is -1 when a signal ended it.
func (p project) run(env []string, args ...string) (code int, stdout, stderr string) {
	p.t.Helper()
	cmd := p.command(env, args...)
	var out, errs bytes.Buffer
	cmd.Stdout, cmd.Stderr = &out, &errs
	if err := cmd.Run(); err != nil && cmd.ProcessState == nil {
		p.t.Fatal(err)
	}
	return cmd.ProcessState.ExitCode(), out.String(), errs.String()
}

// want runs the program and wants an exit code; it returns stdout.
func (p project) want(code int, args ...string) string {
	p.t.Helper()
	got, out, errs := p.run(nil, args...)
	if got != code {
		p.t.Fatalf("so8t %s: exit %d, want %d\n%s%s", strings.Join(args, " "), got, code, out, errs)
	}
	return out
}

// status is the part of `status --json` that the tests look at.
type status struct {
	Run, State string
	Engine     struct {
		PID   int
		Alive bool
	}
	Stages []stageStatus
}

type stageStatus struct {
	Instance, Outcome string
	FromRun           string `json:"from_run"`
	Attempts          []struct {
		Attempt     int
		Outcome     string
		Error       *struct{ Code, Message string }
		Checkpoint  *struct{ Step int64 }
		Progress    *struct{ Done, Total int64 }
		ResumedFrom *struct {
			Run     string
			Attempt int
			Step    int64
		} `json:"resumed_from"`
	}
	Outputs map[string]struct{ Path, SHA256 string }
}

func (p project) status(run ...string) status {
	p.t.Helper()
	var s status
	if err := json.Unmarshal([]byte(p.want(0, append([]string{"status", "--json"}, run...)...)), &s); err != nil {
		p.t.Fatal(err)
	}
	return s
}

// output is the content of a stage's output, a file.
func (p project) output(s stageStatus, name string) []byte {
	p.t.Helper()
	o, ok := s.Outputs[name]
	if !ok {
		p.t.Fatalf("stage %s (%s) has no output %q", s.Instance, s.Outcome, name)
	}
	text, err := os.ReadFile(filepath.Join(p.dir, filepath.FromSlash(o.Path)))
	if err != nil {
		p.t.Fatal(err)
	}
	return text
}

// background is the program at work, whose events are read one by one.
type background struct {
	t     *testing.T
	cmd   *exec.Cmd
	lines *bufio.Scanner
	errs  bytes.Buffer
	run   string
}

func (p project) start(args ...string) *background {
	p.t.Helper()
	b := &background{t: p.t, cmd: p.command(nil, append(args, "--json")...)}
	b.cmd.Stderr = &b.errs
	out, err := b.cmd.StdoutPipe()
	if err != nil {
		p.t.Fatal(err)
	}
	if err := b.cmd.Start(); err != nil {
		p.t.Fatal(err)
	}
	b.lines = bufio.NewScanner(out)
	p.t.Cleanup(func() {
		if b.cmd.ProcessState == nil {
			_ = b.cmd.Process.Kill()
			b.wait()
		}
	})
	return b
}

// await reads events until one of a kind comes.
func (b *background) await(kind string) event {
	b.t.Helper()
	for b.lines.Scan() {
		events, err := parseEvents(b.lines.Text() + "\n")
		if err != nil {
			b.t.Fatal(err)
		}
		b.run = events[0].Run
		if events[0].Event == kind {
			return events[0]
		}
	}
	b.t.Fatalf("it ended before an event %q: %s", kind, &b.errs)
	return event{}
}

func (b *background) signal(s syscall.Signal) {
	b.t.Helper()
	if err := b.cmd.Process.Signal(s); err != nil {
		b.t.Fatal(err)
	}
}

// wait reads the rest and returns the exit code.
func (b *background) wait() int {
	for b.lines.Scan() {
	}
	_ = b.cmd.Wait()
	return b.cmd.ProcessState.ExitCode()
}

// noProcessLeft looks at every process of the machine for one that runs the program, or anything
// below the project, and has to do with the project. One that was killed may take a moment to go.
func (p project) noProcessLeft() {
	p.t.Helper()
	var left []int
	eventually(func() bool {
		left = p.processes()
		return len(left) == 0
	})
	for _, pid := range left {
		args, _ := os.ReadFile(filepath.Join("/proc", strconv.Itoa(pid), "cmdline"))
		p.t.Errorf("process %d is left: %q", pid, args)
	}
}

func (p project) processes() []int {
	entries, err := os.ReadDir("/proc")
	if err != nil {
		p.t.Skip("needs /proc")
	}
	var found []int
	for _, e := range entries {
		pid, err := strconv.Atoi(e.Name())
		if err == nil && pid != os.Getpid() && p.owns(filepath.Join("/proc", e.Name())) {
			found = append(found, pid)
		}
	}
	return found
}

// owns reports whether a process's program, working folder or an open file is in the project.
func (p project) owns(proc string) bool {
	for _, link := range []string{"exe", "cwd"} {
		if to, err := os.Readlink(filepath.Join(proc, link)); err == nil && strings.HasPrefix(to, p.dir) {
			return true
		}
	}
	files, err := os.ReadDir(filepath.Join(proc, "fd"))
	if err != nil {
		return false // gone, or another user's
	}
	for _, f := range files {
		if to, err := os.Readlink(filepath.Join(proc, "fd", f.Name())); err == nil && strings.HasPrefix(to, p.dir) {
			return true
		}
	}
	return false
}

// stopped reports whether a process is stopped by a signal.
func stopped(pid int) bool {
	text, err := os.ReadFile(filepath.Join("/proc", strconv.Itoa(pid), "stat"))
	_, rest, found := strings.Cut(string(text), ") ")
	return err == nil && found && strings.HasPrefix(rest, "T")
}
