//go:build unix

package host_test

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"os"
	"path/filepath"
	"runtime"
	"slices"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/so8t/so8t/plugins"
	"github.com/so8t/so8t/plugins/host"
	"github.com/so8t/so8t/plugins/manifest"
)

func launch(t *testing.T, c host.Command, o host.Options) *host.Process {
	t.Helper()
	p, err := host.Launch(t.Context(), c, o)
	if err != nil {
		t.Fatalf("launching: %v\n%s", err, detail(err))
	}
	t.Cleanup(func() { p.Close() })
	return p
}

func detail(err error) string {
	var e *plugins.Error
	if errors.As(err, &e) {
		return e.Detail
	}
	return ""
}

func with(t *testing.T, do, text string) json.RawMessage {
	t.Helper()
	b, err := json.Marshal(testConfig{Do: do, Text: text})
	if err != nil {
		t.Fatal(err)
	}
	return b
}

// attempt makes the folders of an attempt.
func attempt(t *testing.T, do, text string) *plugins.Attempt {
	t.Helper()
	dir := t.TempDir()
	a := &plugins.Attempt{
		Stage: "s", Run: "1", Number: 1, With: with(t, do, text), ProjectDir: dir,
		OutputDir: filepath.Join(dir, "out"), ScratchDir: filepath.Join(dir, "scratch"), CheckpointDir: filepath.Join(dir, "checkpoints"),
	}
	for _, d := range []string{a.OutputDir, a.ScratchDir, a.CheckpointDir} {
		if err := os.Mkdir(d, 0o755); err != nil {
			t.Fatal(err)
		}
	}
	return a
}

func TestProcess_DescribeCheckRun_OneProcess(t *testing.T) {
	c := self("stage", "DECLARED", "yes")
	c.Dir = t.TempDir()
	t.Setenv("NOT_DECLARED", "x")
	p := launch(t, c, host.Options{Name: "s"})
	d, err := p.Describe(t.Context())
	if err != nil || d.Name != "test" || d.BuildID == "" {
		t.Fatalf("described %+v, %v", d, err)
	}
	report, err := p.Check(t.Context(), plugins.CheckRequest{With: with(t, "nothing", "")})
	if err != nil || len(report.Problems) != 1 || report.Problems[0].Message != "not nothing" {
		t.Fatalf("checked %+v, %v", report, err)
	}
	if report.Facts["cwd"] != c.Dir {
		t.Errorf("runs in %q, want %q", report.Facts["cwd"], c.Dir)
	}
	env := report.Facts["env"]
	if !strings.Contains(env, "DECLARED=yes") || !strings.Contains(env, "PATH=") || strings.Contains(env, "NOT_DECLARED") {
		t.Errorf("environment:\n%s", env)
	}
	a := attempt(t, "nothing", "")
	var events []plugins.Event
	r, err := p.Run(t.Context(), a, func(e plugins.Event) { events = append(events, e) })
	if err != nil || r.Metrics["x"] != 1 {
		t.Fatalf("ran: %+v, %v", r, err)
	}
	want := []plugins.Event{plugins.Progress{Done: 0, Total: 2, Unit: "step"}, plugins.Progress{Done: 2, Total: 2, Unit: "step"}}
	if !slices.Equal(events, want) {
		t.Errorf("events %v, want %v", events, want)
	}
	m, err := manifest.VerifyOutputs(a.OutputDir, manifest.Contents)
	if err != nil {
		t.Fatal(err)
	}
	if o, ok := m.Output("out"); !ok || o.Bytes != 5 {
		t.Errorf("sealed %+v", m)
	}
}

func TestProcess_Errors(t *testing.T) {
	for _, c := range []struct {
		do, message, detail string
		code                plugins.Code
	}{
		{"typed", "no space in x", "", plugins.OutOfDisk},
		{"exit", "exit status 7", "last words", plugins.Crashed},
		{"panic", "exit status 2", "oh no", plugins.Crashed},
		{"segv", "SIGKILL", "", plugins.Crashed},
	} {
		t.Run(c.do, func(t *testing.T) {
			p := launch(t, self("stage"), host.Options{Name: "train"})
			_, err := p.Run(t.Context(), attempt(t, c.do, ""), nil)
			if plugins.CodeOf(err) != c.code || !strings.Contains(err.Error(), c.message) || !strings.Contains(err.Error(), `"train"`) {
				t.Fatalf("got %s: %v", plugins.CodeOf(err), err)
			}
			if !strings.Contains(detail(err), c.detail) {
				t.Errorf("detail %q lacks %q", detail(err), c.detail)
			}
		})
	}
}

func TestLaunch_NotAPlugin(t *testing.T) {
	dir := t.TempDir()
	plain := write(t, filepath.Join(dir, "plain"), "text", 0o644)
	script := write(t, filepath.Join(dir, "script"), "no first line", 0o755)
	bad := write(t, filepath.Join(dir, "bad"), "#!/no/such/interpreter\n", 0o755)
	for _, c := range []struct {
		name    string
		command host.Command
		timeout time.Duration
		code    plugins.Code
		message string
	}{
		{"rubbish", self("raw:rubbish"), 0, plugins.BadInput, "Hello, I am a script"},
		{"endless", self("raw:endless"), 0, plugins.BadInput, "instead of a handshake"},
		{"other version", self("raw:old"), 0, plugins.BadInput, `version "99"`},
		{"elsewhere", self("raw:elsewhere"), 0, plugins.BadInput, "192.0.2.1"},
		{"quits", self("raw:quits"), 0, plugins.Unavailable, "exit status 3 before the handshake: \"Traceback: no module"},
		{"closes", self("raw:closes"), 0, plugins.BadInput, "closed its standard output"},
		{"silent", self("raw:silent"), 200 * time.Millisecond, plugins.Timeout, "no handshake within 200ms"},
		{"mute", self("raw:mute"), 200 * time.Millisecond, plugins.Timeout, "within 200ms"},
		{"by hand", host.Command{Path: os.Args[0], Args: []string{"-test.run=^$"}}, 0, plugins.BadInput, "instead of a handshake"},
		{"not executable", host.Command{Path: plain}, 0, plugins.BadInput, "chmod +x"},
		{"no format", host.Command{Path: script}, 0, plugins.BadInput, "#!/usr/bin/env"},
		{"no interpreter", host.Command{Path: bad}, 0, plugins.BadInput, "interpreter"},
		{"not there", host.Command{Path: filepath.Join(dir, "none")}, 0, plugins.BadInput, "no program"},
		{"not on PATH", host.Command{Path: "so8t-no-such-program"}, 0, plugins.BadInput, "on PATH"},
		{"no path", host.Command{}, 0, plugins.BadInput, "no program to start"},
	} {
		t.Run(c.name, func(t *testing.T) {
			if runtime.GOOS != "linux" && c.name == "no format" {
				t.Skip("other systems run it with a shell")
			}
			p, err := host.Launch(t.Context(), c.command, host.Options{Name: "x", StartTimeout: c.timeout})
			if err == nil {
				p.Close()
				t.Fatal("it started")
			}
			if plugins.CodeOf(err) != c.code || !strings.Contains(err.Error(), c.message) {
				t.Errorf("got %s: %v", plugins.CodeOf(err), err)
			}
		})
	}
}

func write(t *testing.T, path, text string, mode os.FileMode) string {
	t.Helper()
	if err := os.WriteFile(path, []byte(text), mode); err != nil {
		t.Fatal(err)
	}
	return path
}

func TestLaunch_Cancelled(t *testing.T) {
	ctx, cancel := context.WithCancel(t.Context())
	_, err := host.Launch(ctx, self("raw:silent"), host.Options{Started: func(host.Record) error { cancel(); return nil }})
	if plugins.CodeOf(err) != plugins.Cancelled {
		t.Errorf("got %v", err)
	}
}

func TestLaunch_NotRecorded_DoesNotRun(t *testing.T) {
	for range 20 { // how soon the killed process is seen to have ended must not decide what is said
		_, err := host.Launch(t.Context(), self("stage"), host.Options{
			Started: func(host.Record) error { return errors.New("database is full") },
		})
		if err == nil || !strings.Contains(err.Error(), "database is full") {
			t.Fatalf("got %v", err)
		}
	}
}

func TestAdopt_IsAsLaunchedWithTheOptions(t *testing.T) {
	p := launch(t, self("stage"), host.Options{})
	var log bytes.Buffer
	var recorded host.Record
	err := p.Adopt(host.Options{
		Name: "mine", Log: &log, Secrets: []string{"hunter2-hunter2"},
		Started: func(r host.Record) error { recorded = r; return nil },
	})
	if err != nil || recorded != p.Record() || recorded.PID == 0 {
		t.Fatalf("recorded %+v, %v; it is %+v", recorded, err, p.Record())
	}
	_, err = p.Run(t.Context(), attempt(t, "print", "hunter2-hunter2"), nil)
	if err == nil || !strings.Contains(err.Error(), `plugin "mine"`) {
		t.Errorf("got %v", err)
	}
	p.Close()
	if text := log.String() + err.Error(); strings.Contains(text, "hunter2") || !strings.Contains(log.String(), "***") {
		t.Errorf("log and error: %s", text)
	}
}

func TestAdopt_NotRecorded_DoesNotRun(t *testing.T) {
	p := launch(t, self("stage"), host.Options{})
	err := p.Adopt(host.Options{Name: "mine", Started: func(host.Record) error { return errors.New("database is full") }})
	if err == nil || err.Error() != `plugin "mine": could not be recorded: database is full` {
		t.Errorf("got %v", err)
	}
	if err := syscall.Kill(p.Record().PID, 0); !errors.Is(err, syscall.ESRCH) {
		t.Errorf("it is still there: %v", err)
	}
}

func TestAdopt_Ended(t *testing.T) {
	p := launch(t, self("stage"), host.Options{})
	p.Kill()
	if _, err := p.Describe(t.Context()); err == nil { // waits for its end
		t.Fatal("a killed plugin describes itself")
	}
	err := p.Adopt(host.Options{Started: func(host.Record) error { t.Error("it was recorded"); return nil }})
	if !errors.Is(err, host.ErrEnded) {
		t.Errorf("got %v", err)
	}
}

func TestLaunch_BinaryReplaced(t *testing.T) {
	c := self("stage")
	c.Builtin, c.BuildID = true, "another"
	_, err := host.Launch(t.Context(), c, host.Options{})
	if plugins.CodeOf(err) != plugins.Unavailable || !strings.Contains(err.Error(), "replaced") {
		t.Errorf("got %v", err)
	}
	c.BuildID = host.SelfBuildID()
	launch(t, c, host.Options{})
}

func TestCheck_Hangs(t *testing.T) {
	p := launch(t, self("stage"), host.Options{CallTimeout: 100 * time.Millisecond})
	_, err := p.Check(t.Context(), plugins.CheckRequest{With: with(t, "hang", "")})
	if plugins.CodeOf(err) != plugins.Timeout {
		t.Errorf("got %v", err)
	}
}

// waiting runs a stage and returns a channel that is closed when it says that it waits.
func waiting(t *testing.T, p *host.Process, do string) (ready <-chan struct{}, done <-chan error, events *[]plugins.Event) {
	t.Helper()
	r, d, seen := make(chan struct{}), make(chan error, 1), []plugins.Event{}
	a := attempt(t, do, "")
	go func() {
		_, err := p.Run(t.Context(), a, func(e plugins.Event) {
			seen = append(seen, e)
			if l, ok := e.(plugins.LogLine); ok && l.Message == "waiting" {
				close(r)
			}
		})
		d <- err
	}()
	return r, d, &seen
}

func TestStop_CheckpointIsReported(t *testing.T) {
	p := launch(t, self("stage"), host.Options{})
	ready, done, events := waiting(t, p, "wait")
	<-ready
	if err := p.Stop(t.Context(), time.Minute); err != nil {
		t.Fatal(err)
	}
	if err := <-done; plugins.CodeOf(err) != plugins.Cancelled {
		t.Fatalf("got %v", err)
	}
	last, ok := (*events)[len(*events)-1].(plugins.Saved)
	if !ok || last.Checkpoint.Step != 7 {
		t.Fatalf("last event is %+v", (*events)[len(*events)-1])
	}
	if _, err := manifest.VerifyFolder(last.Checkpoint.Path, manifest.Contents); err != nil {
		t.Error(err)
	}
}

func TestStop_AfterGrace_ContextEnds(t *testing.T) {
	p := launch(t, self("stage"), host.Options{})
	ready, done, _ := waiting(t, p, "grace")
	<-ready
	if err := p.Stop(t.Context(), 20*time.Millisecond); err != nil {
		t.Fatal(err)
	}
	if err := <-done; plugins.CodeOf(err) != plugins.Cancelled || strings.Contains(err.Error(), "killed") {
		t.Fatalf("got %v", err)
	}
}

func TestStop_Deaf_IsKilled(t *testing.T) {
	p := launch(t, self("stage"), host.Options{})
	ready, done, _ := waiting(t, p, "deaf")
	<-ready
	if err := p.Stop(t.Context(), 0); err != nil {
		t.Fatal(err)
	}
	if err := <-done; plugins.CodeOf(err) != plugins.Cancelled || !strings.Contains(err.Error(), "did not stop") {
		t.Fatalf("got %v", err)
	}
}

func TestKill_RunReturns(t *testing.T) {
	p := launch(t, self("stage"), host.Options{})
	ready, done, _ := waiting(t, p, "deaf")
	<-ready
	p.Kill()
	if err := <-done; plugins.CodeOf(err) != plugins.Cancelled {
		t.Fatalf("got %v", err)
	}
}

func TestRun_ContextEnds(t *testing.T) {
	p := launch(t, self("stage"), host.Options{})
	ctx, cancel := context.WithTimeout(t.Context(), 50*time.Millisecond)
	defer cancel()
	if _, err := p.Run(ctx, attempt(t, "grace", ""), nil); plugins.CodeOf(err) != plugins.Timeout {
		t.Errorf("got %v", err)
	}
}

func TestRun_Frozen_IsKilled(t *testing.T) {
	p := launch(t, self("stage"), host.Options{Heartbeat: 300 * time.Millisecond})
	_, err := p.Run(t.Context(), attempt(t, "freeze", ""), nil)
	if plugins.CodeOf(err) != plugins.Crashed || !strings.Contains(err.Error(), "no sign of life") {
		t.Errorf("got %v", err)
	}
}

func TestSuspend_IsNotSilence(t *testing.T) {
	const limit = 3 * time.Second // a loaded machine must not look dead
	p := launch(t, self("stage"), host.Options{Heartbeat: limit})
	ready, done, _ := waiting(t, p, "wait")
	<-ready
	if err := p.Suspend(); err != nil {
		t.Fatal(err)
	}
	select {
	case err := <-done:
		t.Fatalf("ended while suspended: %v", err)
	case <-time.After(2 * limit):
	}
	if err := p.Continue(); err != nil {
		t.Fatal(err)
	}
	if err := p.Stop(t.Context(), time.Minute); err != nil {
		t.Fatal(err)
	}
	if err := <-done; plugins.CodeOf(err) != plugins.Cancelled {
		t.Fatalf("got %v", err)
	}
}

func TestRun_Flood_StaysSmall(t *testing.T) {
	var log bytes.Buffer
	p := launch(t, self("stage"), host.Options{Log: &log, LogLimit: 100_000})
	var before, now, most runtime.MemStats
	runtime.ReadMemStats(&before)
	n := 0
	_, err := p.Run(t.Context(), attempt(t, "flood", ""), func(plugins.Event) {
		if n++; n%4000 == 0 {
			runtime.GC()
			runtime.ReadMemStats(&now)
			if now.HeapAlloc > most.HeapAlloc {
				most = now
			}
		}
	})
	if err != nil || n != 40002 {
		t.Fatalf("%d events, %v", n, err)
	}
	if grown := int64(most.HeapAlloc) - int64(before.HeapAlloc); grown > 8<<20 {
		t.Errorf("the heap grew by %d bytes", grown)
	}
	p.Close()
	if log.Len() > 101_000 || !strings.Contains(log.String(), "the rest is dropped") {
		t.Errorf("the log has %d bytes", log.Len())
	}
}

func TestSecrets_AreNowhere(t *testing.T) {
	const secret = "hunter2hunter2"
	var log bytes.Buffer
	p := launch(t, self("stage"), host.Options{Log: &log, Secrets: []string{secret}})
	var seen []plugins.Event
	_, err := p.Run(t.Context(), attempt(t, "print", secret), func(e plugins.Event) { seen = append(seen, e) })
	p.Close()
	b, _ := json.Marshal(seen)
	var failed *plugins.Error
	if !errors.As(err, &failed) || len(failed.RetryWith) != 2 {
		t.Fatalf("it proposed something else: %+v", err)
	}
	proposed, _ := json.Marshal(failed.RetryWith)
	for where, text := range map[string]string{
		"log": log.String(), "events": string(b), "error": err.Error() + detail(err), "proposal": string(proposed),
	} {
		if strings.Contains(text, secret) || !strings.Contains(text, "***") {
			t.Errorf("%s: %s", where, text)
		}
	}
	for _, want := range []string{"stderr ***", "stdout ***", "event ***"} {
		if !strings.Contains(log.String(), want) {
			t.Errorf("the log lacks %q:\n%s", want, log.String())
		}
	}
}
