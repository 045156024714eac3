package cli

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"runtime/debug"
	"strconv"

	"golang.org/x/term"

	"github.com/so8t/so8t/engine"
	"github.com/so8t/so8t/engine/internal/console"
)

// stateFolder is where the state lies in a project, defaultWorkflow what is meant without one.
const (
	stateFolder     = ".so8t"
	defaultWorkflow = "so8t.yaml"
)

// projectDir finds the project directory: --dir, SO8T_DIR, the nearest of the current
// directory and its parents that holds so8t.yaml or .so8t, the current directory.
func (a *app) projectDir() (string, error) {
	for _, dir := range []string{a.dir, os.Getenv("SO8T_DIR")} {
		if dir == "" {
			continue
		}
		abs, err := filepath.Abs(dir)
		if err != nil {
			return "", err
		}
		if info, err := os.Stat(abs); err != nil || !info.IsDir() {
			return "", usageError{fmt.Errorf("project directory %q is no folder", dir)}
		}
		return abs, nil
	}
	here, err := os.Getwd()
	if err != nil {
		return "", fmt.Errorf("finding the current directory: %w", err)
	}
	for dir := here; ; dir = filepath.Dir(dir) {
		if holds(dir, defaultWorkflow) || holds(dir, stateFolder) {
			return dir, nil
		}
		if dir == filepath.Dir(dir) {
			return here, nil
		}
	}
}

func holds(dir, name string) bool {
	_, err := os.Stat(filepath.Join(dir, name))
	return !errors.Is(err, fs.ErrNotExist)
}

// stateDir is SO8T_STATE, else .so8t in the project.
func stateDir(project string) (string, error) {
	if dir := os.Getenv("SO8T_STATE"); dir != "" {
		return filepath.Abs(dir)
	}
	return filepath.Join(project, stateFolder), nil
}

// workflowPath is the file that a command was given, relative to the current directory, or the
// project's own.
func workflowPath(project string, args []string) (string, error) {
	if len(args) > 0 {
		return filepath.Abs(args[0])
	}
	path := filepath.Join(project, defaultWorkflow)
	if !holds(project, defaultWorkflow) {
		return "", usageError{fmt.Errorf("no workflow given, and %s has no %s", project, defaultWorkflow)}
	}
	return path, nil
}

// engineSettings are the flags that reach the engine's options.
type engineSettings struct {
	jobs      int
	keepGoing bool
	verify    bool
	listener  engine.Listener
}

func (a *app) open(s engineSettings) (*engine.Engine, error) {
	project, err := a.projectDir()
	if err != nil {
		return nil, err
	}
	dir, err := stateDir(project)
	if err != nil {
		return nil, err
	}
	jobs, err := jobsSetting(s.jobs)
	if err != nil {
		return nil, err
	}
	builtins := make([]engine.Builtin, len(a.Stages))
	for i, b := range a.Stages {
		builtins[i] = engine.Builtin{Name: b.Name, Describe: b.Stage.Describe}
	}
	e, err := engine.New(engine.Options{
		ProjectDir: project, StateDir: dir, Builtins: builtins,
		SelfPath: a.Self, BuiltinArgs: []string{hiddenStage}, Command: a.commandLine,
		Jobs: jobs, KeepGoing: s.keepGoing, Verify: s.verify, Listener: a.logging(s.listener), GPUs: a.GPUs, Releasers: a.Releasers,
	})
	var unusable *fs.PathError
	if errors.As(err, &unusable) {
		return nil, noPlaceError{dir, err}
	}
	return e, err
}

// noPlaceError says that the state cannot be where it should.
type noPlaceError struct {
	dir   string
	cause error
}

func (e noPlaceError) Error() string {
	return fmt.Sprintf("%v; the state of this project lies in %s: SO8T_STATE names another folder", e.cause, e.dir)
}

func (e noPlaceError) Unwrap() error { return e.cause }

// inspect opens an engine for looking at a run, which it names: by id, by a unique part of one,
// or the newest.
func (a *app) inspect(ctx context.Context, run string, look func(e *engine.Engine, run string) error) error {
	return a.reading(func(e *engine.Engine) error {
		id, err := e.FindRun(ctx, run)
		if err != nil {
			return err
		}
		return look(e, id)
	})
}

// reading opens the state for a command that only looks.
func (a *app) reading(look func(e *engine.Engine) error) error {
	// It ends soon: collecting garbage often would take longer than looking.
	debug.SetGCPercent(400)
	e, err := a.open(engineSettings{})
	if err != nil {
		return err
	}
	defer func() { _ = e.Close() }()
	return look(e)
}

// jobsSetting is the flag, else SO8T_JOBS, else 0: the engine decides.
func jobsSetting(flag int) (int, error) {
	text := os.Getenv("SO8T_JOBS")
	if flag != 0 || text == "" {
		if flag < 0 {
			return 0, usageError{fmt.Errorf("--jobs %d: give a number of at least 1", flag)}
		}
		return flag, nil
	}
	n, err := strconv.Atoi(text)
	if err != nil || n < 1 {
		return 0, usageError{fmt.Errorf("SO8T_JOBS=%q: give a number of at least 1", text)}
	}
	return n, nil
}

// style colours what goes to a terminal, unless NO_COLOR is set.
func (a *app) style(w any) console.Style {
	_, terminal := terminalSize(w)
	return console.Style{Color: terminal && os.Getenv("NO_COLOR") == "" && os.Getenv("TERM") != "dumb"}
}

// terminalSize returns how to ask for the size of the terminal behind a writer, if there is one.
func terminalSize(w any) (func() (columns, rows int), bool) {
	f, ok := w.(*os.File)
	if !ok || !term.IsTerminal(int(f.Fd())) || !prepareTerminal(f) {
		return nil, false
	}
	return func() (int, int) {
		columns, rows, err := term.GetSize(int(f.Fd()))
		if err != nil {
			return 80, 24
		}
		return columns, rows
	}, true
}
