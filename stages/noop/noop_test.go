package noop

import (
	"bytes"
	"context"
	"encoding/json"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/so8t/so8t/plugins"
)

// attempt runs the stage in process and returns its output.
func attempt(t *testing.T, with string, number int, resume *plugins.Checkpoint) (*plugins.Attempt, []byte, plugins.Result, error) {
	t.Helper()
	dir := t.TempDir()
	a := &plugins.Attempt{Stage: "s", Run: "1", Number: number, With: json.RawMessage(with), ProjectDir: dir,
		OutputDir: t.TempDir(), CheckpointDir: t.TempDir(), Stop: make(chan struct{}), Resume: resume}
	a.Publish = func(_ context.Context, c plugins.Checkpoint, write func(string) error) (plugins.Checkpoint, error) {
		c.Path = filepath.Join(a.CheckpointDir, "at", string(rune('0'+c.Step)))
		if err := os.MkdirAll(c.Path, 0o755); err != nil {
			return c, err
		}
		return c, write(c.Path)
	}
	result, err := New().Run(t.Context(), a)
	out, _ := os.ReadFile(filepath.Join(a.OutputDir, "out"))
	return a, out, result, err
}

func TestRun_OutputIsAFunctionOfSeedStepsBytesAndInputs(t *testing.T) {
	input := filepath.Join(t.TempDir(), "in")
	if err := os.WriteFile(input, []byte("content"), 0o644); err != nil {
		t.Fatal(err)
	}
	quote := func(s string) string { b, _ := json.Marshal(s); return string(b) }
	_, base, _, err := attempt(t, `{"steps":3}`, 1, nil)
	if err != nil || len(base) != 64 {
		t.Fatalf("output of %d bytes, error %v", len(base), err)
	}
	for _, same := range []string{`{"steps":3,"duration":"1ms"}`, `{"steps":3,"checkpoint_every":1}`, `{"steps":3,"log":2,"trace":"t"}`} {
		if _, out, _, err := attempt(t, same, 1, nil); err != nil || !bytes.Equal(out, base) {
			t.Errorf("%s changed the output (error %v)", same, err)
		}
	}
	for _, other := range []string{`{"steps":4}`, `{"steps":3,"seed":1}`, `{"steps":3,"inputs":[` + quote(input) + `]}`} {
		if _, out, _, err := attempt(t, other, 1, nil); err != nil || bytes.Equal(out, base) {
			t.Errorf("%s did not change the output (error %v)", other, err)
		}
	}
}

func TestRun_ResumedFromCheckpoint_SameBytes(t *testing.T) {
	_, whole, _, _ := attempt(t, `{"steps":5}`, 1, nil)
	a, _, _, err := attempt(t, `{"steps":5,"checkpoint_every":2,"fail_at":3}`, 1, nil)
	if err == nil {
		t.Fatal("fail_at did not fail")
	}
	from := &plugins.Checkpoint{Step: 2, Path: filepath.Join(a.CheckpointDir, "at", "2")}
	if _, out, _, err := attempt(t, `{"steps":5}`, 2, from); err != nil || !bytes.Equal(out, whole) {
		t.Fatalf("resumed output differs, error %v", err)
	}
}

func TestRun_Fails(t *testing.T) {
	for _, c := range []struct {
		with   string
		number int
		code   plugins.Code
	}{
		{`{"fail_at":1}`, 7, plugins.Internal},
		{`{"code":"out_of_memory"}`, 1, plugins.OutOfMemory},
		{`{"fail_times":2}`, 2, plugins.Internal},
		{`{"fail_times":2}`, 3, ""},
		{`{"fail_times":1,"code":"unavailable"}`, 1, plugins.Unavailable},
		{`{"fail_times":1,"code":"unavailable"}`, 2, ""},
		{`{"fail_at":9,"steps":2}`, 1, plugins.Internal},
	} {
		_, _, _, err := attempt(t, c.with, c.number, nil)
		if got := errorCode(err); got != c.code {
			t.Errorf("%s attempt %d: code %q, want %q", c.with, c.number, got, c.code)
		}
	}
}

func errorCode(err error) plugins.Code {
	if err == nil {
		return ""
	}
	return plugins.CodeOf(err)
}

func TestRun_SkipAndTrace(t *testing.T) {
	a, _, result, err := attempt(t, `{"skip":"no server","trace":"trace"}`, 1, nil)
	if err != nil || result.Skipped != "no server" {
		t.Fatalf("result %+v, error %v", result, err)
	}
	text, err := os.ReadFile(filepath.Join(a.ProjectDir, "trace"))
	if want := "s start run=1 attempt=1\ns end skipped run=1 attempt=1\n"; err != nil || string(text) != want {
		t.Fatalf("trace %q, error %v", text, err)
	}
}

func TestRun_Stopped_ChecksPointsAndIsCancelled(t *testing.T) {
	stop := make(chan struct{})
	saved := int64(-1)
	a := &plugins.Attempt{With: json.RawMessage(`{"steps":10,"duration":"100h","checkpoint_every":5}`), OutputDir: t.TempDir(), Stop: stop}
	dir := t.TempDir()
	if err := os.WriteFile(filepath.Join(dir, checkpointFile), []byte(`{"step":3,"state":[`+strings.Repeat("0,", 31)+`0]}`), 0o644); err != nil {
		t.Fatal(err)
	}
	a.Resume = &plugins.Checkpoint{Step: 3, Path: dir}
	a.Publish = func(_ context.Context, c plugins.Checkpoint, write func(string) error) (plugins.Checkpoint, error) {
		saved = c.Step
		return c, write(t.TempDir())
	}
	close(stop)
	_, err := New().Run(t.Context(), a)
	if plugins.CodeOf(err) != plugins.Cancelled {
		t.Fatalf("error %v, want cancelled", err)
	}
	if saved != -1 {
		t.Fatalf("saved step %d again, which it had resumed from", saved)
	}
}

func TestCheck_Problems(t *testing.T) {
	for with, field := range map[string]string{
		`{"duration":"5"}`: "duration", `{"code":"nonsense"}`: "code", `{"log":-1}`: "log", `{"log":{"a":1}}`: "log",
		`{"duration":"1d12h","log":["a"],"code":"gate"}`: "",
	} {
		report, err := New().Check(t.Context(), plugins.CheckRequest{With: json.RawMessage(with)})
		if err != nil {
			t.Fatal(err)
		}
		got := ""
		for _, p := range report.Problems {
			got += p.Field
		}
		if got != field {
			t.Errorf("%s: problems in %q, want %q", with, got, field)
		}
	}
}
