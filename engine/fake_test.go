package engine

import (
	"context"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/so8t/so8t/plugins"
	"github.com/so8t/so8t/plugins/host"
	"github.com/so8t/so8t/plugins/manifest"
)

// fakeStage is a stage that runs in this process, for what a process cannot show: the order of
// durable steps, injected failures of the disk.
type fakeStage struct {
	run func(a *plugins.Attempt) (plugins.Result, error)
	// disk takes the durable steps of the stage's own side.
	disk manifest.Disk
}

func (f *fakeStage) Describe() plugins.Description {
	return plugins.Description{Name: "fake", Kind: plugins.KindStage, Revision: 1, With: plugins.SchemaOf(struct {
		Seed int `json:"seed"`
	}{}), Outputs: []plugins.Output{{Name: "tree"}}, Checkpoints: true}
}

// fakeProcess stands in for a plugin's process.
type fakeProcess struct {
	stage *fakeStage
	stop  chan struct{}
	once  sync.Once
}

func (p *fakeProcess) Describe(context.Context) (plugins.Description, error) {
	return p.stage.Describe(), nil
}

func (p *fakeProcess) Check(context.Context, plugins.CheckRequest) (plugins.CheckReport, error) {
	return plugins.CheckReport{}, nil
}

func (p *fakeProcess) Run(_ context.Context, a *plugins.Attempt, on func(plugins.Event)) (plugins.Result, error) {
	a.Emit, a.Stop = on, p.stop
	a.Publish = func(_ context.Context, c plugins.Checkpoint, write func(string) error) (plugins.Checkpoint, error) {
		c.Path = filepath.Join(a.CheckpointDir, fmt.Sprintf("step-%012d", c.Step))
		temp := c.Path + ".tmp"
		if err := os.MkdirAll(temp, 0o755); err != nil {
			return c, err
		}
		if err := p.stage.disk.SyncDir(filepath.Dir(a.CheckpointDir)); err != nil {
			return c, err
		}
		if err := write(temp); err != nil {
			return c, err
		}
		if _, err := manifest.SealFolder(p.stage.disk, temp); err != nil {
			return c, err
		}
		if err := p.stage.disk.Rename(temp, c.Path); err != nil {
			return c, err
		}
		return c, p.stage.disk.SyncDir(a.CheckpointDir)
	}
	return p.stage.run(a)
}

func (p *fakeProcess) Stop(context.Context, time.Duration) error {
	p.once.Do(func() { close(p.stop) })
	return nil
}
func (p *fakeProcess) Suspend() error       { return nil }
func (p *fakeProcess) Continue() error      { return nil }
func (p *fakeProcess) Kill()                { p.once.Do(func() { close(p.stop) }) }
func (p *fakeProcess) Close() []host.Record { return nil }

func (p *fakeProcess) Usage() (host.Usage, bool) { return host.Usage{}, true }

// fakeEngine is an engine on a project in which `fake` is the stage s.
func fakeEngine(t *testing.T, yaml string, s *fakeStage) *Engine {
	t.Helper()
	dir := t.TempDir()
	if err := os.WriteFile(filepath.Join(dir, "so8t.yaml"), []byte(yaml), 0o644); err != nil {
		t.Fatal(err)
	}
	return fakeEngineIn(t, dir, s)
}

// fakeEngineIn is a fakeEngine in a folder that has a workflow.
func fakeEngineIn(t *testing.T, dir string, s *fakeStage) *Engine {
	t.Helper()
	e, err := New(Options{ProjectDir: dir, Builtins: []Builtin{{Name: "fake", Describe: s.Describe}}, Jobs: 1})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = e.Close() })
	if s.disk == nil {
		s.disk = e.disk
	}
	e.prepare = nil
	e.launch = func(_ context.Context, _ host.Command, o host.Options) (process, error) {
		if o.Started != nil {
			if err := o.Started(host.Record{PID: 1, Birth: "never", Mark: "none"}); err != nil {
				return nil, err
			}
		}
		return &fakeProcess{stage: s, stop: make(chan struct{})}, nil
	}
	return e
}

func fakeRun(t *testing.T, e *Engine) *StatusView {
	t.Helper()
	w, err := e.Load(t.Context(), "so8t.yaml", nil)
	if err != nil {
		t.Fatal(err)
	}
	p, err := e.Plan(t.Context(), w, Selection{})
	if err != nil {
		t.Fatal(err)
	}
	o, err := e.Run(t.Context(), p, RunOptions{})
	if err != nil {
		t.Fatal(err)
	}
	v, err := e.Status(t.Context(), o.Run)
	if err != nil {
		t.Fatal(err)
	}
	return v
}

const oneFake = "version: 1\nname: one\nstages:\n  s: { uses: fake }\n"

// nested writes an output folder with a folder inside.
func nested(a *plugins.Attempt) (plugins.Result, error) {
	for _, name := range []string{"tree/a", "tree/deep/b"} {
		path := filepath.Join(a.OutputDir, filepath.FromSlash(name))
		if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
			return plugins.Result{}, err
		}
		if err := os.WriteFile(path, []byte(name), 0o644); err != nil {
			return plugins.Result{}, err
		}
	}
	return plugins.Result{}, nil
}

// withCheckpoint saves one before it does what run does.
func withCheckpoint(run func(*plugins.Attempt) (plugins.Result, error)) func(*plugins.Attempt) (plugins.Result, error) {
	return func(a *plugins.Attempt) (plugins.Result, error) {
		err := a.SaveCheckpoint(context.Background(), 7, func(dir string) error {
			return os.WriteFile(filepath.Join(dir, "weights"), []byte("w"), 0o644)
		})
		if err != nil {
			return plugins.Result{}, err
		}
		return run(a)
	}
}

// TestRun_OrderOfDurableSteps is the golden log of one stage with nested outputs and one
// checkpoint. A kill cannot show a missing fsync; this can.
func TestRun_OrderOfDurableSteps(t *testing.T) {
	var mu sync.Mutex
	var log []string
	note := func(kind, what string) error {
		mu.Lock()
		defer mu.Unlock()
		log = append(log, strings.TrimSpace(kind+" "+what))
		return nil
	}
	s := &fakeStage{run: withCheckpoint(nested)}
	e := fakeEngine(t, oneFake, s)
	// Every durable step, not only those that the crash points count.
	e.disk = manifest.Watched(manifest.OS, func(op manifest.Op, path string) error { return note(string(op), placeOf(e, path)) })
	s.disk = e.disk
	e.crash.observe = note
	fakeRun(t, e)
	got := strings.Join(log, "\n") + "\n"
	golden := filepath.Join("testdata", "durable_steps.golden")
	if os.Getenv("UPDATE_GOLDEN") != "" {
		if err := os.WriteFile(golden, []byte(got), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	want, err := os.ReadFile(golden)
	if err != nil {
		t.Fatal(err)
	}
	if got != string(want) {
		t.Errorf("the order of durable steps is\n%s\nwant (UPDATE_GOLDEN=1 writes it anew)\n%s", got, want)
	}
}

// placeOf is a path below the state folder with the run's id replaced.
func placeOf(e *Engine, path string) string {
	rel, err := filepath.Rel(e.store.Dir(), path)
	if err != nil {
		return path
	}
	parts := strings.Split(filepath.ToSlash(rel), "/")
	if len(parts) > 1 && parts[0] == "runs" {
		parts[1] = "RUN"
	}
	return strings.Join(parts, "/")
}

// contentStage writes its tag, its seed, halved, and what it reads.
type contentStage struct {
	run func(a *plugins.Attempt, c contentConfig, content string) error
}

type contentConfig struct {
	Tag    string   `json:"tag"`
	Seed   int      `json:"seed"`
	Inputs []string `json:"inputs" format:"path"`
}

// contentEngine is an engine on the project in dir whose stage fake is s.
func contentEngine(t *testing.T, dir string, s contentStage) *Engine {
	t.Helper()
	f := &fakeStage{run: func(a *plugins.Attempt) (plugins.Result, error) {
		var c contentConfig
		if err := plugins.DecodeWith(a.With, &c); err != nil {
			return plugins.Result{}, err
		}
		content := fmt.Sprintf("(%s %d", c.Tag, c.Seed/2)
		for _, path := range c.Inputs {
			text, err := os.ReadFile(path)
			if err != nil {
				return plugins.Result{}, err
			}
			content += string(text)
		}
		return plugins.Result{}, s.run(a, c, content+")")
	}}
	e := fakeEngineIn(t, dir, f)
	e.opts.Builtins[0].Describe = func() plugins.Description {
		return plugins.Description{Name: "fake", Kind: plugins.KindStage, Revision: 1, With: plugins.SchemaOf(contentConfig{}),
			Outputs: []plugins.Output{{Name: "out"}}}
	}
	return e
}
