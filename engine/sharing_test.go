package engine_test

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/so8t/so8t/engine"
	"github.com/so8t/so8t/engine/workflow"
)

// TestRun_Secrets: a stage receives them, and nothing that is stored or told holds them.
func TestRun_Secrets(t *testing.T) {
	const secret = "s3cr3t-of-the-test"
	dir := project(t, `
version: 1
stages:
  a: { uses: probe, env: { AUTH: x }, with: { input: so8t.yaml, say: AUTH } }
`)
	// As the language gives it for secrets: [TOKEN] and AUTH: "Bearer ${secrets.TOKEN}".
	withSecret := func(w *engine.Workflow) {
		w.Nodes[0].Secrets = []string{"TOKEN"}
		w.Nodes[0].Env[0].Value = &workflow.Value{Kind: workflow.Concat, Parts: []*workflow.Value{
			{Kind: workflow.Text, Text: "Bearer "}, {Kind: workflow.Secret, Text: "TOKEN"},
		}}
	}
	value := ""
	h := open(t, dir, func(o *engine.Options) {
		o.Getenv = func(name string) string {
			if name == "TOKEN" {
				return value
			}
			return ""
		}
	})
	_, err := h.Run(t.Context(), h.planChanged(withSecret), engine.RunOptions{})
	failed, ok := err.(*engine.CheckError)
	if !ok || !failed.ResourceMissing() || !strings.Contains(err.Error(), "TOKEN") {
		t.Fatalf("without the secret: %v", err)
	}
	value = secret
	v := h.runChanged(withSecret)
	if v.State != "succeeded" {
		t.Fatalf("%s: %+v", v.State, v.Stages[0].Error)
	}
	value = "another"
	if got := actions(h.planChanged(withSecret)); got != "a=reuse" {
		t.Errorf("another secret makes a plan of %s: it must be in no fingerprint", got)
	}
	said := false
	for _, e := range h.events {
		text, err := e.MarshalJSON()
		if err != nil || strings.Contains(string(text), secret) {
			t.Errorf("event %s, error %v", text, err)
		}
		said = said || e.Kind == engine.Logged && strings.Contains(e.Message, "Bearer ***")
	}
	if !said {
		t.Error("the stage did not say its variable, with the secret hidden")
	}
	err = filepath.WalkDir(filepath.Join(dir, ".so8t"), func(path string, entry os.DirEntry, err error) error {
		if err != nil || entry.IsDir() {
			return err
		}
		text, err := os.ReadFile(path)
		if strings.Contains(string(text), secret) {
			t.Errorf("%s holds the secret", path)
		}
		return err
	})
	if err != nil {
		t.Error(err)
	}
}

// most is how many instances ran at once, of those whose name begins with prefix.
func most(events []engine.Event, prefix string) int {
	running, most := 0, 0
	for _, e := range events {
		if !strings.HasPrefix(e.Instance, prefix) {
			continue
		}
		switch e.Kind {
		case engine.StageStarted:
			running++
		case engine.StageEnded:
			running--
		}
		most = max(most, running)
	}
	return most
}

func TestRun_Limits(t *testing.T) {
	const stages = `
stages:
  a: { uses: noop, matrix: { i: [1, 2, 3, 4] }, with: { seed: "${matrix.i}", duration: 20ms } }
`
	for _, c := range []struct {
		name  string
		limit func(*engine.Workflow)
		want  int
	}{
		{"of the engine", func(*engine.Workflow) {}, 3},
		{"of the workflow", func(w *engine.Workflow) { w.Concurrency = 2 }, 2},
		{"of the stage", func(w *engine.Workflow) {
			for _, n := range w.Nodes {
				n.Concurrency = 1
			}
		}, 1},
		{"of a slot", func(w *engine.Workflow) {
			w.Slots = []workflow.Slot{{Name: "disk", Count: 2}}
			for _, n := range w.Nodes {
				n.Resources.Slots = []workflow.Slot{{Name: "disk", Count: 1}}
			}
		}, 2},
		{"of the GPU", func(w *engine.Workflow) {
			one := 1
			for _, n := range w.Nodes {
				n.Resources.GPU = &one
			}
		}, 1},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			h := open(t, project(t, "version: 1"+stages), func(o *engine.Options) {
				o.Jobs = 3
				o.GPUs = func() []string { return []string{"of-the-limits"} }
			})
			v := h.runChanged(c.limit)
			if v.State != "succeeded" || len(v.Stages) != 4 || v.Stages[1].Instance != "a[i=2]" {
				t.Fatalf("%s: %s", v.State, outcomes(v))
			}
			if got := most(h.events, "a["); got > c.want {
				t.Errorf("%d at once, want at most %d", got, c.want)
			}
		})
	}
}

func TestRun_PriorityThenOrderOfTheFile(t *testing.T) {
	h := open(t, project(t, `
version: 1
stages:
  low: { uses: noop, priority: -1, with: { seed: 1 } }
  first: { uses: noop, with: { seed: 2 } }
  second: { uses: noop, with: { seed: 3 } }
  high: { uses: noop, priority: 5, with: { seed: 4 } }
`), func(o *engine.Options) { o.Jobs = 1 })
	h.run(engine.Selection{}, nil)
	var order []string
	for _, e := range h.events {
		if e.Kind == engine.StageStarted {
			order = append(order, e.Instance)
		}
	}
	if got, want := strings.Join(order, " "), "high first second low"; got != want {
		t.Errorf("started %s, want %s", got, want)
	}
}
