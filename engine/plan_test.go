package engine_test

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/so8t/so8t/engine"
)

const reasons = `
version: 1
name: reasons
params:
  r: { type: int, default: 32 }
  verbose: { type: bool, default: false }
  seed: { type: int, default: 1 }
stages:
  data: { uses: noop, with: { seed: "${params.seed}" } }
  train:
    uses: probe
    env: { MODE: fast }
    with: { input: "${stages.data.outputs.out}", lora: { r: "${params.r}" }, verbose: "${params.verbose}" }
  file: { uses: noop, with: { inputs: [data.txt] } }
  last: { uses: noop, with: { seed: 5, inputs: ["${stages.train.outputs.tree}"] } }
`

func planLines(p *engine.Plan) string {
	var b strings.Builder
	for _, s := range p.Stages {
		fmt.Fprintf(&b, "%s %s: %s\n", s.Instance, s.Action, s.Reason)
	}
	return b.String()
}

// TestPlan_SaysWhy changes one thing after the other and compares the plan's reasons, in which run
// ids and digests are replaced.
func TestPlan_SaysWhy(t *testing.T) {
	dir := project(t, reasons)
	data := filepath.Join(dir, "data.txt")
	write(t, data, "one")
	h := open(t, dir)
	none := engine.Selection{}

	expect(t, "at first", h.plan(none, nil), "", `
data run: not done yet
train run: stage data runs before it
file run: not done yet
last run: stage train runs before it`)
	first := h.run(none, nil)
	if first.State != "succeeded" {
		t.Fatalf("first run: %s", outcomes(first))
	}
	reused := strings.ReplaceAll(`
data reuse: unchanged since run RUN
train reuse: unchanged since run RUN
file reuse: unchanged since run RUN
last reuse: unchanged since run RUN`, "RUN", first.Run)
	expect(t, "nothing changed", h.plan(none, nil), "", reused)
	expect(t, "a field that changes no bytes", h.plan(none, map[string]string{"verbose": "true"}), "", reused)
	expect(t, "the default written out", h.plan(none, map[string]string{"seed": "1"}), "", reused)
	expect(t, "a parameter", h.plan(none, map[string]string{"r": "64"}), first.Run, `
data reuse: unchanged since run RUN
train run: with.lora.r: 32 → 64
file reuse: unchanged since run RUN
last run: stage train runs before it`)
	expect(t, "a parameter upstream", h.plan(none, map[string]string{"seed": "2"}), first.Run, `
data run: with.seed: 1 → 2
train run: stage data runs before it
file reuse: unchanged since run RUN
last run: stage train runs before it`)
	expect(t, "forced", h.plan(engine.Selection{Force: []string{"file"}}, nil), first.Run, strings.Replace(reused, "file reuse: unchanged since run "+first.Run, "file run: forced", 1))

	write(t, data, "two")
	p := h.plan(none, nil)
	if got := p.Stages[2].Reason; !strings.HasPrefix(got, "input inputs.0: sha256:") || !strings.Contains(got, " → sha256:") {
		t.Errorf("changed file: %q", got)
	}
	write(t, data, "one")

	out := first.Stages[0].Outputs["out"].Path
	write(t, filepath.Join(dir, out), "damaged")
	if got := h.plan(none, nil).Stages[0]; got.Action != engine.ActionRun || !strings.Contains(got.Reason, "output damaged: out: size 64 → 7 (run ") {
		t.Errorf("damaged output: %s: %s", got.Action, got.Reason)
	}
	if v := h.run(none, nil); outcomes(v) != "data=succeeded train=cached file=cached last=cached" {
		t.Errorf("after the damage only its stage should run, and its readers find the same input: %s", outcomes(v))
	}
}

func expect(t *testing.T, what string, p *engine.Plan, run, want string) {
	t.Helper()
	want = strings.TrimPrefix(strings.ReplaceAll(want, "RUN", run), "\n") + "\n"
	if got := planLines(p); got != want {
		t.Errorf("%s: plan says\n%swant\n%s", what, got, want)
	}
	for _, problem := range p.Problems {
		t.Errorf("%s: %+v", what, problem)
	}
}

func TestPlan_OutputOfEqualSizeIsNoticed(t *testing.T) {
	h := open(t, project(t, chain))
	v := h.run(engine.Selection{}, nil)
	path := filepath.Join(h.dir, v.Stages[1].Outputs["out"].Path)
	text, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	text[0] ^= 1
	write(t, path, string(text))
	if got, want := actions(h.plan(engine.Selection{}, nil)), "a=reuse b=run c=run"; got != want {
		t.Errorf("plan %s, want %s", got, want)
	}
}

func TestPlan_FactsArePartOfTheFingerprint(t *testing.T) {
	dir := project(t, "version: 1\nname: facts\nstages:\n  p: { uses: probe, with: { input: so8t.yaml } }\n")
	backend := ""
	environment := func(o *engine.Options) {
		o.Getenv = func(name string) string {
			if name == "SO8T_BACKEND" {
				return backend
			}
			return ""
		}
	}
	h := open(t, dir, environment)
	h.run(engine.Selection{}, nil)
	if got := actions(h.plan(engine.Selection{}, nil)); got != "p=reuse" {
		t.Errorf("with the same facts: %s", got)
	}
	backend = "cuda"
	p := open(t, dir, environment).plan(engine.Selection{}, nil)
	if got, want := planLines(p), "p run: facts.backend: \"plain\" → \"cuda\"\n"; got != want {
		t.Errorf("plan says %q, want %q", got, want)
	}
}

func TestPlan_Selections(t *testing.T) {
	h := open(t, project(t, chain))
	one := map[string]string{"seed": "1"}
	two := map[string]string{"seed": "2"}
	h.run(engine.Selection{}, one)
	for _, c := range []struct {
		s      engine.Selection
		params map[string]string
		want   string
	}{
		{engine.Selection{Only: []string{"b"}}, one, "a=reuse b=reuse c=reuse"},
		{engine.Selection{Only: []string{"b"}, ForceAll: true}, one, "a=reuse b=run c=skip"},
		{engine.Selection{Only: []string{"b"}}, two, "a=skip b=blocked c=skip"},
		{engine.Selection{From: []string{"b"}, Force: []string{"b"}}, one, "a=reuse b=run c=run"},
		{engine.Selection{Until: []string{"b"}}, two, "a=run b=run c=skip"},
		{engine.Selection{Until: []string{"?"}}, two, "a=run b=run c=run"},
		{engine.Selection{ForceAll: true}, one, "a=run b=run c=run"},
	} {
		if got := actions(h.plan(c.s, c.params)); got != c.want {
			t.Errorf("%+v with %v: %s, want %s", c.s, c.params, got, c.want)
		}
	}
	w, err := h.Load(t.Context(), "so8t.yaml", nil)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := h.Plan(t.Context(), w, engine.Selection{Only: []string{"nope"}}); err == nil || !strings.Contains(err.Error(), `no stage "nope"`) {
		t.Errorf("unknown stage: %v", err)
	}
	if _, err := h.Run(t.Context(), h.plan(engine.Selection{Only: []string{"b"}}, two), engine.RunOptions{}); err == nil || !strings.Contains(err.Error(), "not selected") {
		t.Errorf("running a blocked selection: %v", err)
	}
}

// TestRun_EarlyCutOff: a stage that runs again and makes the same bytes lets its readers be reused.
func TestRun_EarlyCutOff(t *testing.T) {
	dir := project(t, `
version: 1
name: cut
params: { r: { type: int, default: 1 } }
stages:
  a: { uses: probe, with: { input: so8t.yaml, lora: { r: "${params.r}" } } }
  b: { uses: noop, with: { inputs: ["${stages.a.outputs.tree}"] } }
`)
	h := open(t, dir)
	h.run(engine.Selection{}, nil)
	if got, want := outcomes(h.run(engine.Selection{}, map[string]string{"r": "2"})), "a=succeeded b=cached"; got != want {
		t.Errorf("%s, want %s", got, want)
	}
}

func TestPlan_VolatileOutputIsNoInput(t *testing.T) {
	h := open(t, project(t, `
version: 1
stages:
  a: { uses: probe, with: { input: so8t.yaml } }
  b: { uses: noop, with: { inputs: ["${stages.a.outputs.times}"] } }
`))
	w, err := h.Load(t.Context(), "so8t.yaml", nil)
	if err != nil {
		return // the language may refuse it first
	}
	p, err := h.Plan(t.Context(), w, engine.Selection{})
	if err != nil || len(p.Problems) != 1 || p.Problems[0].Field != "inputs.0" {
		t.Errorf("problems %+v, error %v", p.Problems, err)
	}
}

func TestPlan_MissingInputIsFoundBeforeAnythingStarts(t *testing.T) {
	h := open(t, project(t, `
version: 1
stages:
  a: { uses: noop, with: { trace: trace } }
  b: { uses: noop, with: { inputs: [not-there] }, resources: { disk: 900TB, memory: 900TB } }
`))
	_, err := h.Run(t.Context(), h.plan(engine.Selection{}, nil), engine.RunOptions{})
	if err == nil {
		t.Fatal("it ran")
	}
	for _, want := range []string{"no such file", "of memory", "are free in"} {
		if !strings.Contains(err.Error(), want) {
			t.Errorf("error %q lacks %q", err, want)
		}
	}
	if trace(t, h.dir) != "" {
		t.Error("a stage has run")
	}
}

// TestPlan_WhatIsToldOfOutcomesIsNotReusedBeforeThem: a stage that runs whatever happens and was
// done when all went well is not called done while a stage before it may fail.
func TestPlan_WhatIsToldOfOutcomesIsNotReusedBeforeThem(t *testing.T) {
	h := open(t, project(t, `
version: 1
name: told
params: { seed: { type: int, default: 1 } }
stages:
  a: { uses: noop, with: { seed: "${params.seed}", fail_at: "${params.seed}", steps: 2 } }
  last: { uses: probe, needs: a, when: always, with: { input: so8t.yaml } }
`))
	h.run(engine.Selection{}, map[string]string{"seed": "0"})
	p := h.plan(engine.Selection{}, nil)
	if got, want := actions(p), "a=run last=run"; got != want {
		t.Errorf("plan %s, want %s", got, want)
	}
	if got, want := outcomes(h.run(engine.Selection{}, nil)), "a=failed last=succeeded"; got != want {
		t.Errorf("%s, want %s", got, want)
	}
}

// TestPlan_LargeFiles: digests of large files are remembered, and still every change is noticed.
func TestPlan_LargeFiles(t *testing.T) {
	dir := project(t, `
version: 1
name: large
stages:
  a: { uses: noop, with: { inputs: [big, folder], bytes: 400000 } }
`)
	big := filepath.Join(dir, "folder", "big")
	if err := os.Mkdir(filepath.Dir(big), 0o755); err != nil {
		t.Fatal(err)
	}
	text := strings.Repeat("x", 300<<10)
	write(t, big, text)
	write(t, filepath.Join(dir, "big"), text)
	h := open(t, dir)
	v := h.run(engine.Selection{}, nil)
	for range 2 {
		if got := actions(h.plan(engine.Selection{}, nil)); got != "a=reuse" {
			t.Fatalf("nothing changed: %s", got)
		}
	}
	write(t, big, text[1:]+"y")
	if got := planLines(h.plan(engine.Selection{}, nil)); !strings.HasPrefix(got, "a run: input inputs.1: ") {
		t.Errorf("a file of the folder changed: %s", got)
	}
	write(t, big, text)
	out := filepath.Join(dir, v.Stages[0].Outputs["out"].Path)
	made, err := os.ReadFile(out)
	if err != nil {
		t.Fatal(err)
	}
	made[len(made)-1] ^= 1
	write(t, out, string(made))
	for _, whole := range []bool{false, true} {
		p := open(t, dir, func(o *engine.Options) { o.Verify = whole }).plan(engine.Selection{}, nil)
		if got := planLines(p); !strings.Contains(got, "output damaged: out: its content is another") {
			t.Errorf("damaged output, read whole %v: %s", whole, got)
		}
	}
}
