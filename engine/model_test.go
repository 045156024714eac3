package engine

import (
	"fmt"
	"math/rand/v2"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/so8t/so8t/plugins"
)

// TestRun_RandomGraphs runs random graphs of a stage that sometimes fails, changes parameters at
// random, and compares with a trivial model: an instance is done again exactly when its parameters
// or the content of an input are new, and in the end every output is what a run from nothing makes.
func TestRun_RandomGraphs(t *testing.T) {
	for seed := range uint64(12) {
		t.Run(fmt.Sprint(seed), func(t *testing.T) { randomGraph(t, rand.New(rand.NewPCG(seed, 1))) })
	}
}

// modelGraph is a graph in which stage i reads some of the stages before it.
type modelGraph struct {
	reads [][]int
	seeds []int
	// done holds the parameters and input contents that were computed before.
	done map[string]bool
}

func randomGraph(t *testing.T, r *rand.Rand) {
	m := &modelGraph{done: map[string]bool{}}
	for i := range 3 + r.IntN(8) {
		var reads []int
		for j := range i {
			if r.IntN(3) == 0 {
				reads = append(reads, j)
			}
		}
		m.reads, m.seeds = append(m.reads, reads), append(m.seeds, r.IntN(3))
	}
	ran := map[string]int{}
	fail := ""
	s := &modelStage{run: func(a *plugins.Attempt, content string) error {
		ran[a.Stage]++
		if a.Stage == fail {
			return plugins.Errorf(plugins.Internal, "told to")
		}
		return os.WriteFile(filepath.Join(a.OutputDir, "out"), []byte(content), 0o644)
	}}
	e := modelEngine(t, s)
	for range 6 {
		if r.IntN(2) == 0 {
			m.seeds[r.IntN(len(m.seeds))] = r.IntN(4)
		}
		fail = ""
		if r.IntN(3) == 0 {
			fail = fmt.Sprintf("s%d", r.IntN(len(m.seeds)))
		}
		clear(ran)
		e.opts.KeepGoing = r.IntN(2) == 0
		v := m.run(t, e)
		if m.compare(t, e, v, ran, fail); t.Failed() {
			t.Fatalf("%s\nran %v, %s should fail: %s", m.yaml(), ran, fail, v.State)
		}
	}
}

func (m *modelGraph) yaml() string {
	var b strings.Builder
	b.WriteString("version: 1\nname: model\nstages:\n")
	for i, reads := range m.reads {
		fmt.Fprintf(&b, "  s%d: { uses: fake, with: { seed: %d, inputs: [", i, m.seeds[i])
		for k, j := range reads {
			if k > 0 {
				b.WriteString(", ")
			}
			fmt.Fprintf(&b, "\"${stages.s%d.outputs.out}\"", j)
		}
		b.WriteString("] } }\n")
	}
	return b.String()
}

func (m *modelGraph) run(t *testing.T, e *Engine) *StatusView {
	t.Helper()
	if err := os.WriteFile(filepath.Join(e.opts.ProjectDir, "so8t.yaml"), []byte(m.yaml()), 0o644); err != nil {
		t.Fatal(err)
	}
	return fakeRun(t, e)
}

// content is what stage i should make: its seed, halved so that a change may change nothing, and
// what it reads.
func (m *modelGraph) content(i int) string {
	text := fmt.Sprintf("(%d", m.seeds[i]/2)
	for _, j := range m.reads[i] {
		text += m.content(j)
	}
	return text + ")"
}

// key is the work of stage i: equal keys need to be done once.
func (m *modelGraph) key(i int) string {
	text := fmt.Sprintf("%d", m.seeds[i])
	for _, j := range m.reads[i] {
		text += m.content(j)
	}
	return text
}

func (m *modelGraph) compare(t *testing.T, e *Engine, v *StatusView, ran map[string]int, fail string) {
	t.Helper()
	for i, s := range v.Stages {
		key := m.key(i)
		switch s.Outcome {
		case "succeeded":
			if m.done[key] || ran[s.Instance] != 1 {
				t.Errorf("%s ran %d times; its work had been done: %v", s.Instance, ran[s.Instance], m.done[key])
			}
			m.done[key] = true
		case "cached":
			if !m.done[key] || ran[s.Instance] != 0 {
				t.Errorf("%s is cached; its work had been done: %v, it ran %d times", s.Instance, m.done[key], ran[s.Instance])
			}
		case "failed":
			if s.Instance != fail {
				t.Errorf("%s failed: %+v", s.Instance, s.Error)
			}
			continue
		case "blocked", "cancelled":
			if s.Cause != fail || ran[s.Instance] != 0 {
				t.Errorf("%s is %s because of %q and ran %d times", s.Instance, s.Outcome, s.Cause, ran[s.Instance])
			}
			continue
		default:
			t.Errorf("%s is %s", s.Instance, s.Outcome)
			continue
		}
		text, err := os.ReadFile(filepath.Join(e.opts.ProjectDir, filepath.FromSlash(s.Outputs["out"].Path)))
		if err != nil || string(text) != m.content(i) {
			t.Errorf("%s made %q (%v), want %q", s.Instance, text, err, m.content(i))
		}
	}
}
