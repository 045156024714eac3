package engine

import (
	"encoding/json"
	"fmt"
	"math"
	"math/rand/v2"
	"strings"
	"testing"
	"time"

	"github.com/so8t/so8t/plugins"
	"github.com/so8t/so8t/state"
)

func TestCanonical_EqualValuesHaveEqualBytes(t *testing.T) {
	for _, c := range []struct{ a, want string }{
		{`{"b":1,"a":[1.0,1e3,0.5,"x<y"]}`, `{"a":[1,1000,0.5,"x<y"],"b":1}`},
		{`9007199254740993`, `9007199254740993`},
		{`-0.0`, `0`},
		{`null`, `null`},
		{`"日本"`, `"日本"`},
	} {
		got, err := canonical(decodeJSON(json.RawMessage(c.a)))
		if err != nil || string(got) != c.want {
			t.Errorf("%s: %s, %v; want %s", c.a, got, err, c.want)
		}
	}
	if _, err := canonical(math.NaN()); err == nil {
		t.Error("NaN is no JSON")
	}
}

func schemaOf(t *testing.T, config any) *withSchema {
	t.Helper()
	s, err := parseWithSchema(plugins.SchemaOf(config))
	if err != nil {
		t.Fatal(err)
	}
	return s
}

type unitConfig struct {
	Base   string            `json:"base" format:"path"`
	Inputs []string          `json:"inputs" format:"path"`
	Named  map[string]string `json:"named" format:"path"`
	Sizes  []int             `json:"sizes"`
	LR     float64           `json:"lr" default:"1e-3"`
	Keep   int               `json:"keep" default:"5" bytes:"same"`
	LoRA   struct {
		R int `json:"r" default:"8"`
	} `json:"lora"`
}

// TestIdentify: what changes a fingerprint, and what does not.
func TestIdentify(t *testing.T) {
	files := map[string]string{"/p/base": "aa", "/p/other": "aa", "/p/third": "bb"}
	outputs := map[outputRef]upstream{
		{"data", "train"}: {state: ready, path: "/p/.so8t/1", digest: "cc"},
		{"data", "skip"}:  {state: absent},
		{"data", "wait"}:  {state: pending},
	}
	p := &pluginInfo{description: plugins.Description{Name: "train", Revision: 1}, schema: schemaOf(t, unitConfig{})}
	identify := func(with map[string]any, env, facts map[string]string) identity {
		n := &node{instance: "t", plugin: p, with: p.schema.withDefaults(with), env: env}
		id, err := n.identify("/p", func(r outputRef) upstream { return outputs[r] },
			func(path string) (string, bool, error) { d, ok := files[path]; return d, ok, nil }, facts)
		if err != nil {
			t.Fatal(err)
		}
		return id
	}
	base := identify(map[string]any{"base": "base"}, nil, nil)
	for name, same := range map[string]map[string]any{
		"another path of the same content": {"base": "other"},
		"the default written out":          {"base": "base", "lr": json.Number("0.001"), "lora": map[string]any{"r": json.Number("8.0")}},
		"a field that changes no bytes":    {"base": "base", "keep": json.Number("9")},
		"an absent output":                 {"base": "base", "inputs": []any{outputRef{"data", "skip"}}},
	} {
		if id := identify(same, nil, nil); id.fingerprint != base.fingerprint {
			t.Errorf("%s: other fingerprint, %v", name, id.diff(base.parts))
		}
	}
	for want, other := range map[string]identity{
		"input.base":         identify(map[string]any{"base": "third"}, nil, nil),
		"with.lora.r":        identify(map[string]any{"base": "base", "lora": map[string]any{"r": json.Number("9")}}, nil, nil),
		"input.inputs.0":     identify(map[string]any{"base": "base", "inputs": []any{outputRef{"data", "train"}}}, nil, nil),
		"input.named.x":      identify(map[string]any{"base": "base", "named": map[string]any{"x": "third"}}, nil, nil),
		"with.sizes":         identify(map[string]any{"base": "base", "sizes": []any{json.Number("1")}}, nil, nil),
		"env.A":              identify(map[string]any{"base": "base"}, map[string]string{"A": "1"}, nil),
		"facts.blas.threads": identify(map[string]any{"base": "base"}, nil, map[string]string{"blas.threads": "2"}),
	} {
		changes := other.diff(base.parts)
		if other.fingerprint == base.fingerprint || len(changes) != 1 || changes[0].Field != want {
			t.Errorf("want a change of %s, got %v", want, changes)
		}
	}
	waiting := identify(map[string]any{"base": "base", "inputs": []any{outputRef{"data", "wait"}}}, nil, nil)
	if waiting.fingerprint != "" || len(waiting.waits) != 1 || waiting.waits[0] != "data" {
		t.Errorf("pending input: %+v", waiting)
	}
	missing := identify(map[string]any{"base": "gone"}, nil, nil)
	if len(missing.missing) != 1 || missing.missing[0] != "base" {
		t.Errorf("missing input: %+v", missing)
	}
	p.description.Revision = 2
	if id := identify(map[string]any{"base": "base"}, nil, nil); changesText(id.diff(base.parts)) != "plugin revision: 1 → 2" {
		t.Errorf("revision: %s", changesText(id.diff(base.parts)))
	}
}

func TestResolve(t *testing.T) {
	outputs := map[outputRef]upstream{
		{"data", "train"}: {state: ready, path: "/state/train", digest: "cc"},
		{"data", "skip"}:  {state: absent},
	}
	p := &pluginInfo{schema: schemaOf(t, unitConfig{})}
	n := &node{plugin: p, with: map[string]any{
		"base":   concat{"x-", outputRef{"data", "train"}},
		"inputs": []any{outputRef{"data", "skip"}, outputRef{"later", "out"}, outputRef{"data", "train"}, "mine"},
		"named":  map[string]any{"a": outputRef{"data", "skip"}, "b": "/abs"},
	}}
	r := n.resolve("/p", func(r outputRef) upstream { return outputs[r] })
	got, err := r.json()
	if want := `{"base":"x-/state/train","inputs":["","/state/train","/p/mine"],"named":{"b":"/abs"}}`; err != nil || string(got) != want {
		t.Errorf("with %s, error %v; want %s", got, err, want)
	}
	if f := r.fields(); len(f) != 1 || f[0] != "inputs.0" {
		t.Errorf("pending %v, want inputs.0: the element's place after the absent one is left out", f)
	}
}

func TestRetryPolicy(t *testing.T) {
	p := retryPolicy{Max: 5, Backoff: time.Second, Factor: 3, MaxBackoff: 20 * time.Second}
	for try, want := range map[int]time.Duration{1: time.Second, 2: 3 * time.Second, 3: 9 * time.Second, 4: 20 * time.Second, 5: 20 * time.Second} {
		if got := p.wait(try, ""); got != want {
			t.Errorf("wait after try %d: %s, want %s", try, got, want)
		}
	}
	p.Jitter = true
	differ := map[time.Duration]bool{}
	for i := range 100 {
		seed := fmt.Sprint("run ", i)
		got := p.wait(2, seed)
		differ[got] = true
		if p.wait(2, seed) != got {
			t.Fatal("the same seed waits differently")
		}
		if got < 1500*time.Millisecond || got > 3*time.Second {
			t.Fatalf("jittered wait %s is not between half and all of 3s", got)
		}
	}
	if len(differ) < 90 {
		t.Errorf("100 seeds give %d waits", len(differ))
	}
	if got := (retryPolicy{Backoff: time.Hour}).wait(1000, ""); got != 365*24*time.Hour {
		t.Errorf("wait after many tries: %s", got)
	}
	for _, c := range []struct {
		p    retryPolicy
		try  int
		code plugins.Code
		want bool
	}{
		{retryPolicy{Max: 1}, 1, plugins.Crashed, true},
		{retryPolicy{Max: 1}, 2, plugins.Crashed, false},
		{retryPolicy{Max: 1}, 1, plugins.BadInput, false},
		{retryPolicy{Max: 1}, 1, plugins.Gate, false},
		{retryPolicy{Max: 1, On: []plugins.Code{plugins.Gate}}, 1, plugins.Gate, true},
		{retryPolicy{Max: 1, On: []plugins.Code{plugins.Gate}}, 1, plugins.Crashed, false},
	} {
		if got := c.p.again(c.try, c.code); got != c.want {
			t.Errorf("%+v try %d code %s: %v", c.p, c.try, c.code, got)
		}
	}
}

func TestCandidates_GracefulStopsAreNotFailures(t *testing.T) {
	stopped := state.Attempt{Run: "1", Number: 2, ResumedFrom: &state.ResumePoint{Step: 9}, Error: &state.ErrorRecord{Code: "cancelled"}}
	made := state.Attempt{Run: "1", Number: 1, Checkpoints: []state.CheckpointRecord{{Step: 5, Path: "5"}, {Step: 9, Path: "9"}}}
	got := candidates([]state.Attempt{stopped, stopped, stopped, made})
	if len(got) != 2 || got[0].step != 9 || got[1].step != 5 {
		t.Errorf("candidates %+v", got)
	}
}

// TestReadyHeap: whatever is pushed comes out by priority, then in order.
func TestReadyHeap(t *testing.T) {
	r := rand.New(rand.NewPCG(1, 2))
	var h readyHeap
	for i := range 1000 {
		h.push(readyItem{priority: r.IntN(5), index: i})
	}
	last := h.pop()
	for h.len() > 0 {
		next := h.pop()
		if next.priority > last.priority || next.priority == last.priority && next.index < last.index {
			t.Fatalf("%+v came after %+v", next, last)
		}
		last = next
	}
}

func TestChange_String(t *testing.T) {
	c := Change{Field: "input.train", From: json.RawMessage(`"sha256:` + strings.Repeat("a", 64) + `"`), To: json.RawMessage("null"), Because: "data"}
	if got, want := c.String(), "input train: sha256:aaaaaaaaaaaa → absent, because stage data made another"; got != want {
		t.Errorf("%q, want %q", got, want)
	}
}
