package plugins_test

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"strings"
	"syscall"
	"testing"

	"github.com/so8t/so8t/plugins"
)

type lora struct {
	R     int     `json:"r" default:"64" min:"1" help:"rank"`
	Alpha float64 `json:"alpha" default:"128"`
}

type config struct {
	Base    string            `json:"base" format:"path" required:"true" media:"inode/directory"`
	LR      float64           `json:"lr" default:"2e-4" exmin:"0"`
	Lora    lora              `json:"lora"`
	Kinds   []string          `json:"kinds" default:"[\"a\",\"b\"]" enum:"a,b,c"`
	Keep    *int              `json:"keep" default:"5" bytes:"same"`
	Inputs  map[string]string `json:"inputs" format:"path"`
	On      bool              `json:"on"`
	Hidden  int               `json:"-"`
	private int
}

func TestSchemaOf(t *testing.T) {
	want := `{"additionalProperties":false,"properties":{
		"base":{"format":"path","type":"string","x-so8t-media-type":"inode/directory"},
		"inputs":{"additionalProperties":{"format":"path","type":"string"},"type":"object"},
		"keep":{"default":5,"type":"integer","x-so8t-same-bytes":true},
		"kinds":{"default":["a","b"],"items":{"enum":["a","b","c"],"type":"string"},"type":"array"},
		"lora":{"additionalProperties":false,"properties":{
			"alpha":{"default":128,"type":"number"},
			"r":{"default":64,"description":"rank","minimum":1,"type":"integer"}},"type":"object"},
		"lr":{"default":2e-4,"exclusiveMinimum":0,"type":"number"},
		"on":{"type":"boolean"}},"required":["base"],"type":"object"}`
	want = strings.NewReplacer("\n", "", "\t", "").Replace(want)
	if got := string(plugins.SchemaOf(config{private: 1})); got != want {
		t.Errorf("got  %s\nwant %s", got, want)
	}
}

func TestSchemaOf_UnknownType_Panics(t *testing.T) {
	defer func() {
		if recover() == nil {
			t.Error("a channel got a schema")
		}
	}()
	plugins.SchemaOf(struct {
		C chan int `json:"c"`
	}{})
}

func TestDecodeWith_DefaultsThenValues(t *testing.T) {
	var c config
	if err := plugins.DecodeWith(json.RawMessage(`{"base":"/m","lora":{"r":8},"kinds":["c"]}`), &c); err != nil {
		t.Fatal(err)
	}
	if c.Base != "/m" || c.LR != 2e-4 || c.Lora.R != 8 || c.Lora.Alpha != 128 || len(c.Kinds) != 1 || *c.Keep != 5 {
		t.Errorf("got %+v", c)
	}
	for _, bad := range []string{`{"bsae":"/m"}`, `{"lr":"fast"}`, `{`, `[]`} {
		if err := plugins.DecodeWith(json.RawMessage(bad), &config{}); plugins.CodeOf(err) != plugins.BadInput {
			t.Errorf("%s: got %v", bad, err)
		}
	}
	if err := plugins.DecodeWith(nil, &c); err != nil {
		t.Error(err)
	}
}

func TestCodeOf(t *testing.T) {
	for want, err := range map[plugins.Code]error{
		plugins.Gate:        fmt.Errorf("a: %w", plugins.Errorf(plugins.Gate, "b: %w", context.Canceled)),
		plugins.Cancelled:   fmt.Errorf("a: %w", context.Canceled),
		plugins.Timeout:     context.DeadlineExceeded,
		plugins.OutOfDisk:   &fs.PathError{Op: "write", Path: "x", Err: syscall.ENOSPC},
		plugins.OutOfMemory: syscall.ENOMEM,
		plugins.BadInput:    &fs.PathError{Op: "open", Path: "x", Err: syscall.ENOENT},
		plugins.Internal:    errors.New("else"),
	} {
		if got := plugins.CodeOf(err); got != want {
			t.Errorf("%v is %s, want %s", err, got, want)
		}
	}
	cause := errors.New("cause")
	if err := plugins.Errorf(plugins.Internal, "doing: %w", cause); !errors.Is(err, cause) || err.Error() != "doing: cause" {
		t.Errorf("got %v", err)
	}
}

func TestAttempt_Reports(t *testing.T) {
	var seen []plugins.Event
	stop := make(chan struct{})
	a := &plugins.Attempt{Run: "r", Number: 2, Stop: stop}
	a.Log("nobody listens")
	a.Emit = func(e plugins.Event) { seen = append(seen, e) }
	a.Publish = func(_ context.Context, c plugins.Checkpoint, write func(string) error) (plugins.Checkpoint, error) {
		c.Path = "/p"
		return c, write("/p")
	}
	if err := a.SaveCheckpoint(t.Context(), 3, func(string) error { return nil }); err != nil {
		t.Fatal(err)
	}
	if err := a.SaveCheckpoint(t.Context(), 4, func(string) error { return errors.New("full") }); err == nil {
		t.Error("a checkpoint that was not written was saved")
	}
	want := plugins.Saved{Checkpoint: plugins.Checkpoint{Step: 3, Path: "/p", Run: "r", Attempt: 2}}
	if len(seen) != 1 || seen[0] != plugins.Event(want) {
		t.Errorf("reported %+v", seen)
	}
	if a.Stopping() {
		t.Error("it stops by itself")
	}
	if close(stop); !a.Stopping() {
		t.Error("it does not stop")
	}
}
