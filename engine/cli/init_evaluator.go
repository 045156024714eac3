package cli

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"strings"

	"github.com/so8t/so8t/plugins"
)

// evaluatorTemplate is an example evaluator that init copies into a project as one of its own.
type evaluatorTemplate struct {
	files []string // of the example, copied as they are
	own   func(name string) map[string]string
	// build makes it ready to use, run in its folder.
	build func(name string) [][]string
	edit  string // where its work is
}

var evaluatorTemplates = map[string]evaluatorTemplate{
	"evaluator-go": {
		files: []string{"main.go"},
		own: func(name string) map[string]string {
			return map[string]string{
				"go.mod":           goModule(name),
				"so8t-plugin.yaml": fmt.Sprintf("# How so8t starts this plugin: the program that `go build` made. A change of it makes the result anew.\ncommand: [./%[1]s]\nfiles: [%[1]s]\n", program(name)),
			}
		},
		build: func(name string) [][]string {
			return [][]string{{"go", "mod", "tidy"}, {"go", "build", "-o", program(name), "."}}
		},
		edit: "main.go: the function polite gives a row its score; go build makes the program anew",
	},
	"evaluator-python": {
		files: []string{"evaluator.py", "so8t_plugin.py", "stage.proto", "requirements.txt", "so8t-plugin.yaml"},
		own:   func(string) map[string]string { return nil },
		build: func(string) [][]string {
			python, inside := "python3", filepath.Join(".venv", "bin", "python")
			if runtime.GOOS == "windows" {
				python, inside = "py", filepath.Join(".venv", "Scripts", "python.exe")
			}
			return [][]string{{python, "-m", "venv", ".venv"}, {inside, "-m", "pip", "install", "--quiet", "-r", "requirements.txt"}}
		},
		edit: "evaluator.py: the line of Run with scores.append gives a row its score",
	},
}

// program is the file that `go build` makes.
func program(name string) string {
	if runtime.GOOS == "windows" {
		return name + ".exe"
	}
	return name
}

// goModule is the go.mod of a new plugin. A so8t that was built from a checkout that is still there
// is used from there; else it is that of this version.
func goModule(name string) string {
	const module = "github.com/so8t/so8t"
	text := fmt.Sprintf("module %s\n\ngo 1.26\n\nrequire %s ", name, module)
	if _, file, _, ok := runtime.Caller(0); ok {
		checkout := filepath.Dir(filepath.Dir(filepath.Dir(file)))
		mod, err := os.ReadFile(filepath.Join(checkout, "go.mod"))
		if err == nil && strings.HasPrefix(string(mod), "module "+module+"\n") {
			return text + fmt.Sprintf("v0.0.0\n\nreplace %s => %s\n", module, filepath.ToSlash(checkout))
		}
	}
	return text + readVersion().Version + "\n"
}

// initEvaluator writes an evaluator into a folder and, when asked, makes it ready to use.
func (a *app) initEvaluator(ctx context.Context, dir, template string, build bool) error {
	if dir == "" {
		return usageError{fmt.Errorf("--template %s makes a plugin: give the folder to make, as so8t init evaluators/mine --template %s", template, template)}
	}
	t, name := evaluatorTemplates[template], pluginName(dir)
	files := t.own(name)
	if files == nil {
		files = map[string]string{}
	}
	for _, file := range t.files {
		text, err := fs.ReadFile(a.Examples, template+"/"+file)
		if err != nil {
			return fmt.Errorf("reading template %q: %w", template, err)
		}
		files[file] = string(text)
	}
	if err := os.MkdirAll(dir, 0o777); err != nil {
		return usageError{fmt.Errorf("making folder %q: %w", dir, err)}
	}
	names := sortedKeys(files)
	for _, file := range names {
		if path := filepath.Join(dir, file); holds(dir, file) {
			return codedError{alreadyThereError{path}, exitUsage}
		}
	}
	for _, file := range names {
		if err := writeNew(filepath.Join(dir, file), []byte(files[file])); err != nil {
			return err
		}
		fmt.Fprintf(a.Err, "wrote %s\n", filepath.Join(dir, file))
	}
	if build {
		if err := a.buildPlugin(ctx, dir, t.build(name)); err != nil {
			return err
		}
	}
	a.nextForEvaluator(dir, name, t, build)
	return nil
}

// pluginName is the folder's, in the letters that a stage or a program is named with.
func pluginName(dir string) string {
	abs, err := filepath.Abs(dir)
	if err != nil {
		abs = dir
	}
	name := strings.Map(func(r rune) rune {
		switch {
		case r >= 'a' && r <= 'z', r >= '0' && r <= '9', r == '_':
			return r
		case r >= 'A' && r <= 'Z':
			return r + 'a' - 'A'
		}
		return '-'
	}, filepath.Base(abs))
	if name = strings.Trim(name, "-_"); name == "" || name[0] >= '0' && name[0] <= '9' {
		name = strings.TrimSuffix("evaluator-"+name, "-")
	}
	return name
}

// buildPlugin runs the commands that make a plugin ready, in its folder.
func (a *app) buildPlugin(ctx context.Context, dir string, commands [][]string) error {
	for _, words := range commands {
		fmt.Fprintf(a.Err, "running %s\n", strings.Join(words, " "))
		c := exec.CommandContext(ctx, words[0], words[1:]...)
		c.Dir, c.Stdout, c.Stderr = dir, a.Err, a.Err
		err := c.Run()
		if errors.Is(err, exec.ErrNotFound) {
			return plugins.Errorf(plugins.Unavailable, "building the plugin: %s is not installed, or not on PATH", words[0])
		}
		if err != nil {
			return fmt.Errorf("building the plugin in %s: %s: %w", dir, strings.Join(words, " "), err)
		}
	}
	return nil
}

// nextForEvaluator says what to type, and what to write into the workflow.
func (a *app) nextForEvaluator(dir, name string, t evaluatorTemplate, built bool) {
	uses := "./" + filepath.ToSlash(filepath.Clean(dir))
	if project, err := a.projectDir(); err == nil {
		if abs, err := filepath.Abs(dir); err == nil {
			if rel, err := filepath.Rel(project, abs); err == nil && filepath.IsLocal(rel) {
				uses = "./" + filepath.ToSlash(rel)
			}
		}
	}
	fmt.Fprintln(a.Err, "next:")
	if !built {
		lines := []string{"cd " + quoted(dir)}
		for _, words := range t.build(name) {
			lines = append(lines, strings.Join(words, " "))
		}
		fmt.Fprintf(a.Err, "  (%s)      what --build does\n", strings.Join(lines, " && "))
	}
	fmt.Fprintf(a.Err, `  so8t plugins test %s      looks whether it keeps the contract
  edit %s
in the workflow:
  %s:
    uses: %s
    with: { predictions: "${stages.eval.outputs.predictions}" }
`, quoted(uses), filepath.Join(dir, t.edit), name, uses)
}
