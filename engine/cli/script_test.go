package cli_test

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"hash/crc32"
	"io"
	"os"
	"os/exec"
	"strconv"
	"strings"
	"testing"

	"github.com/rogpeppe/go-internal/testscript"
)

// TestScripts runs the command line as a user would, from testdata/script/*.txtar. Beside the
// commands of testscript there are:
//
//	exit CODE so8t ARGS…      runs it and wants this exit code
//	json PATH[=VALUE]…        stdout is one JSON value; PATH is there (keys and indices, joined by dots), len is a length
//	events INSTANCE KIND…     stdout is JSON lines; these events of an instance came, in this order; - is the run itself
//	truncate FILE BYTES       cuts a file
//	zero FILE FROM BYTES      overwrites a part of a file with zeros
//	schema FILE VERSION       makes a state database one of another schema version
func TestScripts(t *testing.T) {
	testscript.Run(t, testscript.Params{
		Dir:                 "testdata/script",
		RequireExplicitExec: true,
		RequireUniqueNames:  true,
		Setup: func(e *testscript.Env) error {
			e.Vars = append(e.Vars, "XDG_RUNTIME_DIR="+os.TempDir(), "NO_COLOR=1", "GORACE="+raceOptions, "FIXTURES="+fixtures(t), "WORKFLOWS="+absolute(t, "../../workflows"),
				"EXAMPLES="+absolute(t, "../../plugins/examples"), "PYTHON_VENV="+os.Getenv("SO8T_TEST_PYTHON_VENV"))
			return nil
		},
		Condition: func(name string) (bool, error) {
			if name != "python" { // with what the Python examples need
				return false, fmt.Errorf("unknown condition %q", name)
			}
			return os.Getenv("SO8T_TEST_PYTHON_VENV") != "", nil
		},
		Cmds: map[string]func(*testscript.TestScript, bool, []string){
			"exit": scriptExit, "json": scriptJSON, "events": scriptEvents, "truncate": scriptTruncate, "zero": scriptZero, "schema": scriptSchema,
		},
	})
}

func scriptExit(ts *testscript.TestScript, neg bool, args []string) {
	if neg || len(args) < 2 {
		ts.Fatalf("usage: exit CODE COMMAND ARGS…")
	}
	want, err := strconv.Atoi(args[0])
	ts.Check(err)
	code := 0
	if err := ts.Exec(args[1], args[2:]...); err != nil {
		var exited *exec.ExitError
		if !errors.As(err, &exited) {
			ts.Fatalf("%v", err)
		}
		code = exited.ExitCode()
	}
	if code != want {
		ts.Fatalf("exit code %d, want %d", code, want)
	}
}

func scriptJSON(ts *testscript.TestScript, neg bool, args []string) {
	var document any
	decoder := json.NewDecoder(strings.NewReader(ts.ReadFile("stdout")))
	decoder.UseNumber()
	ts.Check(decoder.Decode(&document))
	if _, err := decoder.Token(); !errors.Is(err, io.EOF) {
		ts.Fatalf("stdout holds more than one JSON value")
	}
	for _, arg := range args {
		path, want, compare := strings.Cut(arg, "=")
		got, found := at(document, path)
		ok := found && (!compare || got == want)
		if ok == neg {
			ts.Fatalf("%s: got %q (there: %v)", arg, got, found)
		}
	}
}

// at is the value at a dotted path, as text: strings as they are, the rest as JSON.
func at(v any, path string) (string, bool) {
	for key := range strings.SplitSeq(path, ".") {
		switch x := v.(type) {
		case map[string]any:
			next, ok := x[key]
			if key == "len" {
				next, ok = len(x), true
			}
			if !ok {
				return "", false
			}
			v = next
		case []any:
			if key == "len" {
				v = len(x)
				continue
			}
			i, err := strconv.Atoi(key)
			if err != nil || i < 0 || i >= len(x) {
				return "", false
			}
			v = x[i]
		default:
			return "", false
		}
	}
	if text, ok := v.(string); ok {
		return text, true
	}
	text, err := json.Marshal(v)
	return string(text), err == nil
}

// event is what every line of `run --json` has.
type event struct {
	Time, Run, Stage, Instance, Event string
	Attempt                           *int
	Outcome                           string
	Step                              int64
}

func parseEvents(text string) ([]event, error) {
	var events []event
	for line := range strings.Lines(text) {
		var e event
		if err := json.Unmarshal([]byte(line), &e); err != nil {
			return nil, fmt.Errorf("line %q: %w", line, err)
		}
		if e.Time == "" || e.Run == "" || e.Event == "" {
			return nil, fmt.Errorf("line %q lacks time, run or event", line)
		}
		events = append(events, e)
	}
	return events, nil
}

func scriptEvents(ts *testscript.TestScript, neg bool, args []string) {
	if neg || len(args) < 2 {
		ts.Fatalf("usage: events INSTANCE KIND…")
	}
	events, err := parseEvents(ts.ReadFile("stdout"))
	ts.Check(err)
	instance := strings.TrimPrefix(args[0], "-")
	left := args[1:]
	for _, e := range events {
		if len(left) > 0 && e.Instance == instance && e.Event == left[0] {
			left = left[1:]
		}
	}
	if len(left) > 0 {
		ts.Fatalf("event %q of %q did not come in its place", left[0], args[0])
	}
}

func scriptTruncate(ts *testscript.TestScript, neg bool, args []string) {
	if neg || len(args) != 2 {
		ts.Fatalf("usage: truncate FILE BYTES")
	}
	size, err := strconv.ParseInt(args[1], 10, 64)
	ts.Check(err)
	ts.Check(os.Truncate(ts.MkAbs(args[0]), size))
}

func scriptZero(ts *testscript.TestScript, neg bool, args []string) {
	if neg || len(args) != 3 {
		ts.Fatalf("usage: zero FILE FROM BYTES")
	}
	from, err := strconv.ParseInt(args[1], 10, 64)
	ts.Check(err)
	size, err := strconv.Atoi(args[2])
	ts.Check(err)
	f, err := os.OpenFile(ts.MkAbs(args[0]), os.O_WRONLY, 0)
	ts.Check(err)
	_, err = f.WriteAt(bytes.Repeat([]byte{0}, size), from)
	ts.Check(errors.Join(err, f.Close()))
}

// scriptSchema exchanges the record of the schema version, 1, in every page that holds it: a byte
// that is the version of the encoding, JSON, and a CRC over bucket, key and both.
func scriptSchema(ts *testscript.TestScript, neg bool, args []string) {
	if neg || len(args) != 2 || len(args[1]) != 1 {
		ts.Fatalf("usage: schema FILE DIGIT")
	}
	record := func(version string) []byte {
		body := append([]byte{1}, version...)
		crc := crc32.New(crc32.MakeTable(crc32.Castagnoli))
		fmt.Fprintf(crc, "meta\x00schema\x00%s", body)
		return crc.Sum(body)
	}
	path := ts.MkAbs(args[0])
	text, err := os.ReadFile(path)
	ts.Check(err)
	changed := bytes.ReplaceAll(text, record("1"), record(args[1]))
	if bytes.Equal(changed, text) {
		ts.Fatalf("%s holds no record of schema version 1", args[0])
	}
	ts.Check(os.WriteFile(path, changed, 0o644))
}
