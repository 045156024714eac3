package manifest

import (
	"bytes"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path"
	"path/filepath"
	"runtime"
	"slices"
	"strings"
	"time"

	"github.com/goccy/go-yaml"
)

// PluginFileName is what makes a folder a plugin.
const PluginFileName = "so8t-plugin.yaml"

// Plugin is a foreign plugin: a program on its own, or a folder with a so8t-plugin.yaml:
//
//	command: [python3, evaluator.py]   # a name with a slash is relative to the folder
//	files: [evaluator.py, rules/]      # what the result depends on; default: all of the folder
//	env: { PYTHONHASHSEED: "0", VIRTUAL_ENV: }   # without a value: passed on from the engine
//	start_timeout: 60s                 # default: the engine's
//
// A Python virtual environment in the folder is not part of its identity, nor are the files that
// Python compiles: requirements.txt says what is in it. On Windows a command .venv/bin/python is
// .venv/Scripts/python.exe.
type Plugin struct {
	// Dir is the absolute folder in which the program runs.
	Dir string
	// Command is the program, absolute or a name to look up on PATH, and its arguments.
	Command []string
	// Files are the files and folders, relative to Dir, that are its identity.
	Files []string
	// Env are further variables; a nil value is passed on from the engine's environment.
	Env          map[string]*string
	StartTimeout time.Duration
}

// pluginFile is so8t-plugin.yaml as written.
type pluginFile struct {
	Command      []string           `yaml:"command"`
	Files        []string           `yaml:"files"`
	Env          map[string]*string `yaml:"env"`
	StartTimeout string             `yaml:"start_timeout"`
}

// ReadPlugin finds out how to start the plugin at path, a program or a folder.
func ReadPlugin(path string) (*Plugin, error) {
	abs, err := filepath.Abs(path)
	if err != nil {
		return nil, err
	}
	info, err := os.Stat(abs)
	if err != nil {
		return nil, fmt.Errorf("plugin %q: %w", path, err)
	}
	if !info.IsDir() {
		return &Plugin{Dir: filepath.Dir(abs), Command: []string{abs}, Files: []string{filepath.Base(abs)}}, nil
	}
	file := filepath.Join(abs, PluginFileName)
	b, err := os.ReadFile(file)
	if errors.Is(err, fs.ErrNotExist) {
		return nil, fmt.Errorf("plugin %q: the folder has no %s", path, PluginFileName)
	}
	if err != nil {
		return nil, fmt.Errorf("plugin %q: %w", path, err)
	}
	p, err := parsePlugin(abs, b)
	if err != nil {
		return nil, fmt.Errorf("reading %q: %w", file, err)
	}
	return p, nil
}

// ErrNotBuilt is in the chain when a file that belongs to a plugin is not there.
var ErrNotBuilt = errors.New("is it to be built or installed first? (its README, or so8t-plugin.yaml)")

// Bounds of a so8t-plugin.yaml: far above any real one, and low enough that the YAML parser,
// which takes time and memory by nesting, cannot be made to eat the machine.
const (
	maxPluginFile = 64 << 10
	maxBrackets   = 500
)

func parsePlugin(dir string, text []byte) (*Plugin, error) {
	if len(text) > maxPluginFile {
		return nil, fmt.Errorf("it has %d bytes; %d are allowed", len(text), maxPluginFile)
	}
	if n := bytes.Count(text, []byte("[")) + bytes.Count(text, []byte("{")); n > maxBrackets {
		return nil, fmt.Errorf("it has %d opening brackets; %d are allowed", n, maxBrackets)
	}
	var f pluginFile
	if err := decodeYAML(text, &f); err != nil {
		return nil, err
	}
	if len(f.Command) == 0 || f.Command[0] == "" {
		return nil, errors.New("command is missing: the program and its arguments, as a list")
	}
	p := &Plugin{Dir: dir, Command: slices.Clone(f.Command), Files: f.Files, Env: f.Env}
	if strings.ContainsAny(p.Command[0], `/\`) && !filepath.IsAbs(p.Command[0]) {
		p.Command[0] = interpreter(filepath.Join(dir, filepath.FromSlash(p.Command[0])), runtime.GOOS)
	}
	for _, name := range f.Files {
		if !fs.ValidPath(path.Clean(filepath.ToSlash(name))) {
			return nil, fmt.Errorf("files: %q is not below the plugin's folder", name)
		}
	}
	if f.StartTimeout != "" {
		d, err := time.ParseDuration(f.StartTimeout)
		if err != nil || d <= 0 {
			return nil, fmt.Errorf("start_timeout: %q is no positive duration", f.StartTimeout)
		}
		p.StartTimeout = d
	}
	return p, nil
}

// decodeYAML turns a panic of the parser, which some malformed files provoke, into an error.
func decodeYAML(text []byte, into *pluginFile) (err error) {
	defer func() {
		if r := recover(); r != nil {
			err = fmt.Errorf("it is no YAML that can be read: %v", r)
		}
	}()
	return yaml.UnmarshalWithOptions(text, into, yaml.DisallowUnknownField())
}

// Digest is the identity of the plugin: the digest of every file it lists, and those files
// with their own digests, for so8t.lock.
func (p *Plugin) Digest() (string, []File, error) {
	files, err := p.list()
	if err != nil {
		return "", nil, fmt.Errorf("digesting plugin %q: %w", p.Dir, err)
	}
	if err := digestFiles(p.Dir, files); err != nil {
		return "", nil, fmt.Errorf("digesting plugin %q: %w", p.Dir, err)
	}
	return FolderDigest(files), files, nil
}

// list is the sorted union of the listed files, the files in the listed folders, the
// program itself when it lies in the folder, and so8t-plugin.yaml.
func (p *Plugin) list() ([]File, error) {
	all, err := p.candidates()
	if err != nil {
		return nil, err
	}
	sortFiles(all)
	return slices.CompactFunc(all, func(a, b File) bool { return a.Path == b.Path }), nil
}

func (p *Plugin) candidates() ([]File, error) {
	if len(p.Files) == 0 {
		return p.below(".")
	}
	names := slices.Clone(p.Files)
	rel, err := filepath.Rel(p.Dir, p.Command[0])
	if err == nil && filepath.IsLocal(rel) && filepath.IsAbs(p.Command[0]) && !isEnvironment(filepath.Dir(filepath.Dir(p.Command[0]))) {
		names = append(names, rel)
	}
	if _, err := os.Lstat(filepath.Join(p.Dir, PluginFileName)); err == nil {
		names = append(names, PluginFileName)
	}
	var all []File
	for _, name := range names {
		files, err := p.below(path.Clean(filepath.ToSlash(name)))
		if err != nil {
			return nil, err
		}
		all = append(all, files...)
	}
	return all, nil
}

// below lists the file, or the files of the folder, called name.
func (p *Plugin) below(name string) ([]File, error) {
	full := filepath.Join(p.Dir, filepath.FromSlash(name))
	info, err := os.Stat(full)
	if errors.Is(err, fs.ErrNotExist) {
		return nil, fmt.Errorf("it has no %q: %w", name, ErrNotBuilt)
	}
	if err != nil {
		return nil, err
	}
	if !info.IsDir() {
		return []File{{Path: name, Bytes: info.Size()}}, nil
	}
	t := &tree{root: full, without: madeByPython}
	if err := t.visit(""); err != nil {
		return nil, err
	}
	for i := range t.files {
		t.files[i].Path = path.Join(name, t.files[i].Path)
	}
	return t.files, nil
}

// madeByPython tells a virtual environment, and compiled modules, from what an author wrote.
func madeByPython(dir string) bool { return filepath.Base(dir) == "__pycache__" || isEnvironment(dir) }

// isEnvironment says whether a folder is a Python virtual environment.
func isEnvironment(dir string) bool {
	_, err := os.Lstat(filepath.Join(dir, "pyvenv.cfg"))
	return err == nil
}

// interpreter is the program at path, or, on Windows, that of the same name in the same virtual
// environment: its programs lie in Scripts there, and in bin elsewhere.
func interpreter(path, goos string) string {
	folder, name := filepath.Split(path)
	environment := filepath.Dir(filepath.Clean(folder))
	if goos != "windows" || filepath.Base(folder) != "bin" || !isEnvironment(environment) {
		return path
	}
	return filepath.Join(environment, "Scripts", strings.TrimSuffix(name, ".exe")+".exe")
}
