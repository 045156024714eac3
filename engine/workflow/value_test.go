package workflow

import (
	"encoding/json"
	"fmt"
	"reflect"
	"strings"
	"testing"
	"time"
)

func parseStage(t *testing.T, text string) *Node {
	t.Helper()
	w, err := Parse("w.yaml", []byte(text), Options{})
	if err != nil {
		t.Fatal(err)
	}
	return w.Nodes[len(w.Nodes)-1]
}

func TestResolve(t *testing.T) {
	n := parseStage(t, `version: 1
stages:
  a: {uses: x}
  gone: {uses: x}
  b:
    uses: y
    with: {n: 1e3, f: 1.5, t: "5", nothing: ~, one: "${stages.a.outputs.o}", text: "<${stages.a.outputs.o}>",
      list: ["${stages.gone.outputs.o}", "${stages.a.outputs.o}"], missing: "${stages.gone.outputs.o}"}
`)
	got := Resolve(n.With, func(node, output string) (string, bool) { return node + "." + output, node != "gone" })
	want := map[string]any{
		"n": int64(1000), "f": 1.5, "t": "5", "nothing": nil, "one": "a.o", "text": "<a.o>", "list": []any{"a.o"},
	}
	if !reflect.DeepEqual(got, want) {
		t.Errorf("got  %#v\nwant %#v", got, want)
	}
	if refs := n.With.References(); len(refs) != 5 || refs[0].Pos.Line != 7 {
		t.Errorf("references: %v", refs)
	}
}

// What a file says is the same whatever the order of keys, the quotes, the style and the comments.
func TestCanonical(t *testing.T) {
	a := parseStage(t, "version: 1\nstages:\n  a: {uses: x, with: {b: [1, two], a: {c: 1.5, d: t}}}\n")
	b := parseStage(t, "# c\nversion: 1\nstages:\n  a:\n    with:\n      'a': {d: \"t\", c: 15e-1} # c\n      b:\n      - 0x1\n      - 'two'\n    uses: x\n")
	x, _ := json.Marshal(a.With)
	y, _ := json.Marshal(b.With)
	if string(x) != string(y) || !strings.Contains(string(x), `"two"`) {
		t.Errorf("%s\n%s", x, y)
	}
}

const demoSchema = `{"type":"object","additionalProperties":false,"required":["base"],"properties":{
  "base":{"type":"string","format":"path","x-so8t-media-type":"model","description":"folder"},
  "lora":{"type":"object","properties":{"r":{"type":"integer","default":64},"name":{"type":"string"}}},
  "log":{"type":"object","x-so8t-same-bytes":true,"properties":{"every":{"type":"string","format":"duration","default":"3m"}}},
  "files":{"type":"array","items":{"type":"string","format":"path"}},
  "parts":{"type":"array","items":{"type":"object","properties":{"w":{"type":"number","default":1.5}}}},
  "named":{"type":"object","additionalProperties":{"type":"object","properties":{"k":{"type":"integer","default":2}}}}}}`

func TestSchemaFields(t *testing.T) {
	fields, err := SchemaFields(json.RawMessage(demoSchema))
	if err != nil {
		t.Fatal(err)
	}
	var got []string
	for _, f := range fields {
		got = append(got, fmt.Sprintf("%s %s %s %s %v %v %s", f.Path, f.Type, f.Format, f.MediaType, f.SameBytes, f.Required, f.Default))
	}
	want := []string{
		"base string path model false true ", "files array   false false ", "files.* string path  false false ",
		"log object   true false ", `log.every string duration  true false "3m"`,
		"lora object   false false ", "lora.name string   false false ", "lora.r integer   false false 64",
		"named object   false false ", "named.* object   false false ", "named.*.k integer   false false 2",
		"parts array   false false ", "parts.* object   false false ", "parts.*.w number   false false 1.5",
	}
	if !reflect.DeepEqual(got, want) {
		t.Errorf("got\n%s", strings.Join(got, "\n"))
	}
}

func TestUnits(t *testing.T) {
	for text, want := range map[string]time.Duration{
		"1h30m": 90 * time.Minute, "0.5h": 30 * time.Minute, "2d": 48 * time.Hour, "250ms": 250 * time.Millisecond, "1.5s": 1500 * time.Millisecond,
	} {
		if got, err := ParseDuration(text); err != nil || got != want {
			t.Errorf("%s: %v %v", text, got, err)
		}
	}
	for _, text := range []string{"", "30", "5 m", "-5s", "3min", "s", "1h 30m", "1e3s", "99999999999999h"} {
		if got, err := ParseDuration(text); err == nil {
			t.Errorf("%q is %v", text, got)
		}
	}
	for text, want := range map[string]int64{"4GB": 4e9, "1.5GB": 15e8, "4GiB": 4 << 30, "1kB": 1000, "1KB": 1000, "7B": 7} {
		if got, err := ParseSize(text); err != nil || got != want {
			t.Errorf("%s: %v %v", text, got, err)
		}
	}
	for _, text := range []string{"", "4gb", "1024", "-1B", "4 GB", "9999999TiB"} {
		if got, err := ParseSize(text); err == nil {
			t.Errorf("%q is %v", text, got)
		}
	}
}

func TestSuggest(t *testing.T) {
	for _, c := range [][2]string{{"wiht", `did you mean "with"?`}, {"TRIAN", `did you mean "train"?`}, {"schedule", "known: with, train"}} {
		if got := suggest(c[0], []string{"with", "train"}); got != c[1] {
			t.Errorf("%s: %s", c[0], got)
		}
	}
}
