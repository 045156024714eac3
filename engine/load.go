package engine

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"

	"github.com/so8t/so8t/engine/workflow"
	"github.com/so8t/so8t/plugins"
	"github.com/so8t/so8t/plugins/host"
	"github.com/so8t/so8t/plugins/manifest"
)

// Workflow is a file that was read, with the plugins it uses.
type Workflow struct {
	*workflow.Workflow
	source  []byte
	params  map[string]string // as given
	plugins map[string]*pluginInfo
}

// Load reads the workflow at path, which is absolute or relative to the project, and lets its
// plugins describe themselves. What is wrong with the file is workflow.Problems.
func (e *Engine) Load(ctx context.Context, path string, params map[string]string) (*Workflow, error) {
	path = absolute(e.opts.ProjectDir, path)
	source, err := workflow.ReadFile(path)
	if err != nil {
		return nil, fmt.Errorf("reading workflow: %w", err)
	}
	return e.parse(ctx, e.relative(path), source, params)
}

func (e *Engine) parse(ctx context.Context, file string, source []byte, params map[string]string) (*Workflow, error) {
	w := &Workflow{source: source, params: params, plugins: map[string]*pluginInfo{}}
	opts := workflow.Options{Root: e.opts.ProjectDir, Params: params, Plugins: e.builtinNames()}
	lock, lockErr := manifest.ReadLock(e.opts.ProjectDir)
	opts.Describe = func(uses string) (*workflow.PluginSpec, error) {
		if lockErr != nil && isForeign(uses) {
			return nil, lockErr
		}
		p, err := e.plugin(ctx, uses, lock)
		if err != nil {
			return nil, err
		}
		w.plugins[uses] = p
		return Spec(p.description), nil
	}
	var err error
	w.Workflow, err = workflow.Parse(file, source, opts)
	if err != nil {
		return nil, err
	}
	return w, nil
}

func (e *Engine) builtinNames() []string {
	var names []string
	for _, b := range e.opts.Builtins {
		names = append(names, b.Name)
	}
	return names
}

// Spec is the part of a description that the language checks a workflow against.
func Spec(d plugins.Description) *workflow.PluginSpec {
	s := &workflow.PluginSpec{With: d.With, ReportsMetrics: len(d.Metrics) > 0}
	for _, o := range d.Outputs {
		s.Outputs = append(s.Outputs, workflow.OutputSpec{Name: o.Name, MediaType: o.MediaType, Optional: o.Optional, Volatile: o.Volatile})
	}
	for _, m := range d.Metrics {
		s.Metrics = append(s.Metrics, m.Name)
	}
	return s
}

// plugin finds out what `uses` means. What a lock does not pin is not started; nil pins nothing.
func (e *Engine) plugin(ctx context.Context, uses string, lock *manifest.Lock) (*pluginInfo, error) {
	p := &pluginInfo{uses: uses}
	var err error
	if isForeign(uses) {
		err = e.foreign(ctx, p, lock)
	} else {
		err = e.builtin(p)
	}
	if err != nil {
		return nil, err
	}
	p.schema, err = parseWithSchema(p.description.With)
	return p, err
}

// isForeign tells a path to a plugin from the name of a built-in stage.
func isForeign(uses string) bool { return strings.HasPrefix(uses, "./") }

func (e *Engine) builtin(p *pluginInfo) error {
	for _, b := range e.opts.Builtins {
		if b.Name != p.uses {
			continue
		}
		p.description = b.Describe()
		p.command = host.Command{
			Path: e.opts.SelfPath, Args: append(append([]string{}, e.opts.BuiltinArgs...), b.Name),
			Env: e.passedOn(), Builtin: true, BuildID: host.SelfBuildID(),
		}
		return nil
	}
	return workflow.ErrUnknownPlugin
}

// passedOn are the variables of the engine that built-in stages get too. None of them enters a
// fingerprint: what they change, a stage says in its facts.
func (e *Engine) passedOn() map[string]string {
	env := map[string]string{}
	for _, name := range []string{"SO8T_BACKEND", "SO8T_BLAS", "SO8T_LOG", "SO8T_CRASH_STAGE", "OLLAMA_HOST", "CUDA_VISIBLE_DEVICES"} {
		if v := e.opts.Getenv(name); v != "" {
			env[name] = v
		}
	}
	return env
}

func (e *Engine) foreign(ctx context.Context, p *pluginInfo, lock *manifest.Lock) error {
	path := absolute(e.opts.ProjectDir, p.uses)
	p.path = path
	if _, err := os.Stat(path); errors.Is(err, fs.ErrNotExist) {
		return workflow.ErrUnknownPlugin
	}
	found, err := manifest.ReadPlugin(path)
	if err != nil {
		return err
	}
	var files []manifest.File
	if p.digest, files, err = found.Digest(); err != nil {
		return err
	}
	if err := lock.Check(p.uses, files); err != nil {
		return err
	}
	p.command = host.Foreign(found)
	if p.description, err = e.describe(ctx, p); err != nil {
		return err
	}
	if p.description.Name == "" {
		return fmt.Errorf("plugin %q describes itself without a name", filepath.Base(path))
	}
	return nil
}

// describe asks a plugin what it is, in a process of its own.
func (e *Engine) describe(ctx context.Context, p *pluginInfo) (plugins.Description, error) {
	started, err := e.start(ctx, p, host.Options{Name: p.uses})
	if err != nil {
		return plugins.Description{}, err
	}
	defer started.Close()
	return started.Describe(ctx)
}
