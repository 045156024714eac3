package engine

import (
	"errors"
	"fmt"
	"math/rand/v2"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/so8t/so8t/plugins"
)

// TestProperty_RandomWorkflows puts random workflows through random edits, selectors, failures, kills,
// resumes and reruns, half of them with a clock that somebody keeps setting. Whatever happened: nothing runs that the model says is done, what must run
// runs once, and in the end the artifacts are those of one uninterrupted run of the final
// workflow in an empty project.
func TestProperty_RandomWorkflows(t *testing.T) {
	cases := 12
	if os.Getenv("SO8T_TEST_FULL") != "" {
		cases = 1000
	}
	total := map[string]int{}
	for seed := range uint64(cases) {
		t.Run(fmt.Sprint(seed), func(t *testing.T) {
			p := newProperty(t, seed)
			for range 8 {
				if p.step(); t.Failed() {
					t.Fatalf("seed %d: after %s, with\n%s", seed, strings.Join(p.log, "; "), p.m.yaml())
				}
			}
			if p.finish(); t.Failed() {
				t.Fatalf("seed %d: at the end of %s, with\n%s", seed, strings.Join(p.log, "; "), p.m.yaml())
			}
			for what, n := range p.count {
				total[what] += n
			}
			total["clock set"] += p.clock.jumps
		})
	}
	t.Logf("%d workflows, seeds from 0: %v", cases, total)
	for _, what := range []string{"run", "refused", "failure", "kill", "resume", "rerun", "edit", "clock set"} {
		if total[what] == 0 {
			t.Errorf("no %s happened", what)
		}
	}
}

// property is a project, and the model of it.
type property struct {
	*rand.Rand
	clock *jumpyClock
	t     *testing.T
	dir   string
	m     *model
	ran   map[string]int       // attempts of the command at work, by instance
	fail  string               // the instance that fails
	given map[string]Selection // of each run
	log   []string
	count map[string]int
}

func newProperty(t *testing.T, seed uint64) *property {
	r := rand.New(rand.NewPCG(seed, 1))
	return &property{Rand: r, clock: newJumpyClock(seed), t: t, dir: t.TempDir(), m: newModel(r), ran: map[string]int{}, count: map[string]int{}, given: map[string]Selection{}}
}

// engine is a new one, as each command has.
func (p *property) engine(dir string) *Engine {
	p.t.Helper()
	if err := os.WriteFile(filepath.Join(dir, "so8t.yaml"), []byte(p.m.yaml()), 0o644); err != nil {
		p.t.Fatal(err)
	}
	e := contentEngine(p.t, dir, contentStage{run: func(a *plugins.Attempt, c contentConfig, content string) error {
		instance := p.m.instance(c.Tag, c.Seed)
		p.ran[instance]++
		if instance == p.fail {
			return plugins.Errorf(plugins.Internal, "told to")
		}
		return os.WriteFile(filepath.Join(a.OutputDir, "out"), []byte(content), 0o644)
	}})
	e.now = p.clock.now
	return e
}

// step is one thing that a user does, or that happens to one.
func (p *property) step() {
	if p.IntN(2) == 0 {
		p.note("edit", "edit")
		p.m.edit(p.Rand)
	}
	clear(p.ran)
	p.fail = ""
	switch p.IntN(6) {
	case 0:
		p.resume()
	case 1:
		p.rerun()
	case 2:
		nodes := p.m.nodes()
		p.fail = nodes[p.IntN(len(nodes))].instance
		p.disturbed("failure", p.selection(), 0)
	case 3:
		p.disturbed("kill", p.selection(), 1+p.IntN(40))
	default:
		p.run(p.selection())
	}
}

func (p *property) note(kind, what string) {
	p.count[kind]++
	p.log = append(p.log, what)
}

func (p *property) selection() Selection {
	var s Selection
	stage := func() []string { return []string{p.m.stages[p.IntN(len(p.m.stages))].name} }
	switch p.IntN(5) {
	case 0:
		s.Only = stage()
	case 1:
		s.From = stage()
	case 2:
		s.Until = stage()
	}
	switch p.IntN(6) {
	case 0:
		s.Force = stage()
	case 1:
		s.ForceAll = true
	}
	return s
}

// start plans and runs; the run's id is "" when there is none.
func (p *property) start(e *Engine, s Selection) (string, error) {
	w, err := e.Load(p.t.Context(), "so8t.yaml", nil)
	if err != nil {
		p.t.Fatal(err)
	}
	plan, err := e.Plan(p.t.Context(), w, s)
	if err != nil {
		return "", err
	}
	o, err := e.Run(p.t.Context(), plan, RunOptions{})
	if err != nil {
		return "", err
	}
	return o.Run, nil
}

// run is a command that nothing disturbs: the model knows exactly what happens.
func (p *property) run(s Selection) {
	p.note("run", fmt.Sprintf("run %v", s.texts()))
	nodes := p.m.nodes()
	fates, ok := p.m.judge(nodes, s)
	e := p.engine(p.dir)
	id, err := p.start(e, s)
	if !ok {
		p.count["refused"]++
		if _, is := errors.AsType[*SelectionError](err); !is || len(p.ran) > 0 {
			p.t.Errorf("it should be refused: %v; %v ran", err, p.ran)
		}
		return
	}
	if err != nil {
		p.t.Errorf("run: %v", err)
		return
	}
	p.given[id] = s
	v := p.status(e, id)
	for i, n := range nodes {
		want := map[fate]string{mustRun: "succeeded", mustReuse: "cached", mustSkip: "skipped"}[fates[i]]
		if got := v.Stages[i]; got.Instance != n.instance || got.Outcome != want || p.ran[n.instance] != map[bool]int{true: 1}[want == "succeeded"] {
			p.t.Errorf("%s is %s and ran %d times; want it %s (%s)", got.Instance, got.Outcome, p.ran[n.instance], want, got.Reason)
		}
		if fates[i] == mustRun {
			p.m.done[n.key] = true
		}
		p.content(v.Stages[i], n)
	}
}

func (p *property) status(e *Engine, id string) *StatusView {
	p.t.Helper()
	v, err := e.Status(p.t.Context(), id)
	if err != nil {
		p.t.Fatal(err)
	}
	return v
}

// content compares an output with what the model says.
func (p *property) content(s StageView, n modelNode) {
	o, ok := s.Outputs["out"]
	if !ok {
		return
	}
	text, err := os.ReadFile(filepath.Join(p.dir, filepath.FromSlash(o.Path)))
	if err != nil || string(text) != n.content {
		p.t.Errorf("%s made %q (%v), want %q", s.Instance, text, err, n.content)
	}
}

var errKilled = errors.New("killed")

// disturbed is a command in which a stage fails, or which ends before its n-th durable step as an
// engine does that is killed.
func (p *property) disturbed(kind string, s Selection, n int) {
	p.note(kind, fmt.Sprintf("%s (%s, step %d) of run %v", kind, p.fail, n, s.texts()))
	e := p.engine(p.dir)
	if n > 0 {
		e.crash.observe = func(string, string) error {
			if n--; n <= 0 {
				return errKilled
			}
			return nil
		}
	}
	before := p.newest()
	if _, err := p.start(e, s); err != nil && !errors.Is(err, errKilled) && n > 0 {
		if _, refused := errors.AsType[*SelectionError](err); !refused {
			p.t.Errorf("run: %v", err)
		}
	}
	if id := p.newest(); id != before {
		p.given[id] = s
		p.account(id)
	} else if len(p.ran) > 0 {
		p.t.Errorf("%v ran without a run", p.ran)
	}
}

// newest is the newest run, "" when there is none.
func (p *property) newest() string {
	id, err := p.engine(p.dir).FindRun(p.t.Context(), "latest")
	if err != nil {
		return ""
	}
	return id
}

// account looks at what a command that was disturbed has done in a run: nothing that was done before,
// and nothing twice. What the run, put in order, says has succeeded is done.
func (p *property) account(id string) {
	e, s := p.engine(p.dir), p.given[id]
	if v := p.status(e, id); v.State == "running" {
		p.t.Errorf("nobody holds run %s, and it is called running", id)
	}
	if err := e.recoverDead(p.t.Context()); err != nil {
		p.t.Fatal(err)
	}
	v := p.status(e, id)
	for _, n := range p.m.nodes() {
		forced := s.ForceAll || slices.Contains(s.Force, n.stage)
		if p.ran[n.instance] > 1 || p.ran[n.instance] == 1 && p.m.done[n.key] && !forced {
			p.t.Errorf("%s ran %d times; it had been done: %v", n.instance, p.ran[n.instance], p.m.done[n.key])
		}
		i := slices.IndexFunc(v.Stages, func(s StageView) bool { return s.Instance == n.instance })
		if i >= 0 && p.ran[n.instance] > 0 && v.Stages[i].Outcome == "succeeded" {
			p.m.done[n.key] = true
			p.content(v.Stages[i], n)
		}
	}
}

// resume goes on with the newest run that is not done, with the workflow as it is now.
func (p *property) resume() {
	p.note("resume", "resume")
	e := p.engine(p.dir)
	o, err := e.Resume(p.t.Context(), "", ResumeOptions{AcceptChanges: true})
	if _, selection := errors.AsType[*SelectionError](err); err != nil && !errors.Is(err, ErrNothingToResume) && !selection {
		p.t.Errorf("resume: %v", err)
	}
	if err == nil {
		p.account(o.Run)
	} else if len(p.ran) > 0 {
		p.t.Errorf("%v ran, though %v", p.ran, err)
	}
}

// rerun repeats one stage of a run that is whole: it alone runs, since it makes the same bytes.
func (p *property) rerun() {
	p.run(Selection{})
	if p.t.Failed() {
		return
	}
	clear(p.ran)
	stage := p.m.stages[p.IntN(len(p.m.stages))].name
	p.note("rerun", "rerun "+stage)
	e := p.engine(p.dir)
	o, err := e.Rerun(p.t.Context(), "latest", stage, RerunOptions{Downstream: p.IntN(2) == 0})
	if err != nil {
		p.t.Errorf("rerun: %v", err)
		return
	}
	for i, s := range p.status(e, o.Run).Stages {
		n := p.m.nodes()[i]
		if want := map[bool]int{true: 1}[n.stage == stage]; p.ran[n.instance] != want {
			p.t.Errorf("%s (%s) ran %d times, want %d", n.instance, s.Outcome, p.ran[n.instance], want)
		}
		p.content(s, n)
	}
}

// finish runs the final workflow here and in an empty project, and here again.
func (p *property) finish() {
	p.fail = ""
	clear(p.ran)
	p.run(Selection{})
	here := p.digests(p.dir, "latest")
	clear(p.ran)
	if p.run(Selection{}); len(p.ran) > 0 {
		p.t.Errorf("everything was done, and %v ran", p.ran)
	}
	fresh := p.t.TempDir()
	id, err := p.start(p.engine(fresh), Selection{})
	if err != nil {
		p.t.Fatal(err)
	}
	if there := p.digests(fresh, id); here != there {
		p.t.Errorf("the artifacts are\n%s\nof an uninterrupted run\n%s", here, there)
	}
}

// digests are those of a run's outputs, a line each.
func (p *property) digests(dir, run string) string {
	e := p.engine(dir)
	id, err := e.FindRun(p.t.Context(), run)
	if err != nil {
		p.t.Fatal(err)
	}
	var b strings.Builder
	for _, s := range p.status(e, id).Stages {
		fmt.Fprintln(&b, s.Instance, s.Outputs["out"].SHA256)
	}
	return b.String()
}
