package engine_test

import (
	"context"
	"encoding/json"
	"fmt"
	"os"
	"os/signal"
	"path/filepath"
	"strings"
	"syscall"
	"testing"

	"github.com/so8t/so8t/engine"
	"github.com/so8t/so8t/plugins"
	"github.com/so8t/so8t/plugins/sdk"
	"github.com/so8t/so8t/stages/noop"
	"github.com/so8t/so8t/state"
)

// This test binary is also the engine and the built-in stages of the tests: started as
// `__stage NAME` it serves a stage, as `__engine VERB DIR …` it does what the command line would.
func TestMain(m *testing.M) {
	if len(os.Args) > 2 {
		switch os.Args[1] {
		case "__stage":
			serve(os.Args[2])
			return
		case "__engine":
			os.Exit(engineMain(os.Args[2], os.Args[3]))
		case "__trace":
			os.Exit(traceMain(os.Args[2:]))
		}
	}
	os.Exit(m.Run())
}

func builtins() []plugins.Stage { return []plugins.Stage{noop.New(), probe{}, curve{}} }

func serve(name string) {
	for _, s := range builtins() {
		if s.Describe().Name != name {
			continue
		}
		if err := sdk.Serve(s); err != nil {
			fmt.Fprintln(os.Stderr, err)
			os.Exit(1)
		}
		if self, err := os.FindProcess(os.Getpid()); raceDetector && err == nil {
			_ = self.Kill() // it has served; the detector would hold its exit up
		}
	}
}

// options are those of an engine on the project in dir whose built-in stages are this binary's.
func options(dir string) engine.Options {
	o := engine.Options{ProjectDir: dir, SelfPath: os.Args[0], BuiltinArgs: []string{"__stage"}, Jobs: 2, Command: "test"}
	for _, s := range builtins() {
		o.Builtins = append(o.Builtins, engine.Builtin{Name: s.Describe().Name, Describe: s.Describe})
	}
	return o
}

// engineMain is an engine in a process of its own, with one job so that its steps have one order.
// It prints what happened as JSON lines and returns the code of the command line's contract.
func engineMain(verb, dir string) int {
	o := options(dir)
	o.Jobs = 1
	out := json.NewEncoder(os.Stdout)
	o.Listener = func(e engine.Event) { _ = out.Encode(e) }
	control := engine.NewControl()
	signals := make(chan os.Signal, 2)
	signal.Notify(signals, syscall.SIGINT, syscall.SIGTERM)
	go func() {
		for range signals {
			control.Interrupt(engine.SIGINT)
		}
	}()
	e, err := engine.New(o)
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		return 70
	}
	defer e.Close()
	outcome, err := engineVerb(context.Background(), e, verb, control)
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		return 2
	}
	switch {
	case outcome.Signal != "":
		return 130
	case outcome.State != "succeeded":
		return 1
	}
	return 0
}

func engineVerb(ctx context.Context, e *engine.Engine, verb string, control *engine.Control) (*engine.Outcome, error) {
	if id, ok := strings.CutPrefix(verb, "resume:"); ok {
		return e.Resume(ctx, id, engine.ResumeOptions{Control: control})
	}
	switch verb {
	case "gc": // all but the newest run
		_, err := e.GC(ctx, state.GCPolicy{ByCount: true, Keep: 1})
		return &engine.Outcome{State: "succeeded"}, err
	case "repair":
		return &engine.Outcome{State: "succeeded"}, repair(ctx, e)
	}
	if file, ok := strings.CutPrefix(verb, "import:"); ok {
		f, err := os.Open(file)
		if err != nil {
			return nil, err
		}
		defer f.Close()
		_, err = e.Import(ctx, f)
		return &engine.Outcome{State: "succeeded"}, err
	}
	w, err := e.Load(ctx, "so8t.yaml", nil)
	if err != nil {
		return nil, err
	}
	plan, err := e.Plan(ctx, w, engine.Selection{})
	if err != nil {
		return nil, err
	}
	return e.Run(ctx, plan, engine.RunOptions{Control: control})
}

// repair mends what check finds.
func repair(ctx context.Context, e *engine.Engine) error {
	findings, err := e.CheckState(ctx, state.CheckOptions{})
	if err == nil {
		_, err = e.RepairState(ctx, findings)
	}
	return err
}

// project makes a folder with a workflow.
func project(t testing.TB, yaml string) string {
	t.Helper()
	dir := t.TempDir()
	t.Cleanup(func() { noProcessLeft(t, dir) }) // after the engines are: a stage that dies may still make a file
	write(t, filepath.Join(dir, "so8t.yaml"), yaml)
	return dir
}

func write(t testing.TB, path, text string) {
	t.Helper()
	if err := os.WriteFile(path, []byte(text), 0o644); err != nil {
		t.Fatal(err)
	}
}

// harness is an engine on a project, in this process.
type harness struct {
	*engine.Engine
	t      testing.TB
	dir    string
	events []engine.Event
}

func open(t testing.TB, dir string, change ...func(*engine.Options)) *harness {
	t.Helper()
	h := &harness{t: t, dir: dir}
	o := options(dir)
	o.Listener = func(e engine.Event) { h.events = append(h.events, e) }
	for _, c := range change {
		c(&o)
	}
	var err error
	if h.Engine, err = engine.New(o); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := h.Close(); err != nil {
			t.Error(err)
		}
	})
	return h
}

func (h *harness) plan(s engine.Selection, params map[string]string) *engine.Plan {
	h.t.Helper()
	w, err := h.Load(h.t.Context(), "so8t.yaml", params)
	if err != nil {
		h.t.Fatal(err)
	}
	p, err := h.Plan(h.t.Context(), w, s)
	if err != nil {
		h.t.Fatal(err)
	}
	return p
}

func (h *harness) run(s engine.Selection, params map[string]string) *engine.StatusView {
	h.t.Helper()
	o, err := h.Run(h.t.Context(), h.plan(s, params), engine.RunOptions{})
	if err != nil {
		h.t.Fatal(err)
	}
	return h.status(o.Run)
}

func (h *harness) status(run string) *engine.StatusView {
	h.t.Helper()
	v, err := h.Status(h.t.Context(), run)
	if err != nil {
		h.t.Fatal(err)
	}
	return v
}

// planChanged plans the workflow after change.
func (h *harness) planChanged(change func(*engine.Workflow)) *engine.Plan {
	h.t.Helper()
	w, err := h.Load(h.t.Context(), "so8t.yaml", nil)
	if err != nil {
		h.t.Fatal(err)
	}
	change(w)
	p, err := h.Plan(h.t.Context(), w, engine.Selection{})
	if err != nil {
		h.t.Fatal(err)
	}
	return p
}

func (h *harness) runChanged(change func(*engine.Workflow)) *engine.StatusView {
	h.t.Helper()
	o, err := h.Run(h.t.Context(), h.planChanged(change), engine.RunOptions{})
	if err != nil {
		h.t.Fatal(err)
	}
	return h.status(o.Run)
}

// outcomes is a run in one line: a=succeeded b=cached.
func outcomes(v *engine.StatusView) string {
	var parts []string
	for _, s := range v.Stages {
		parts = append(parts, s.Instance+"="+s.Outcome)
	}
	return strings.Join(parts, " ")
}

// actions is a plan in one line.
func actions(p *engine.Plan) string {
	var parts []string
	for _, s := range p.Stages {
		parts = append(parts, s.Instance+"="+string(s.Action))
	}
	return strings.Join(parts, " ")
}

// trace is what the noop stages of a project wrote about themselves.
func trace(t *testing.T, dir string) string {
	t.Helper()
	text, err := os.ReadFile(filepath.Join(dir, "trace"))
	if err != nil && !os.IsNotExist(err) {
		t.Fatal(err)
	}
	return string(text)
}
