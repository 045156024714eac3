// Package archtest holds the architecture as tests: which package may import which, and through
// which door each foreign library comes in. The table is the one of the README; change both.
package archtest

import (
	"encoding/json"
	"errors"
	"go/parser"
	"go/token"
	"io"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"
)

const module = "github.com/so8t/so8t"

// rule says what packages that match `of` may import of ours. The first rule that matches
// counts. In patterns, X is one path element and … any number.
type rule struct {
	of   string
	may  []string
	note string
}

var table = []rule{
	{".", []string{"engine/cli", "stages"}, "main joins the command line and the table of stages"},
	{"engine/cli", []string{"engine", "engine/workflow", "engine/internal/…", "state", "plugins", "plugins/…"}, "the only place that prints or chooses an exit code"},
	{"engine/internal/…", []string{"engine", "engine/workflow", "state", "plugins", "engine/internal/…"}, "views of the engine for the command line"},
	{"engine", []string{"engine/workflow", "plugins", "plugins/host", "plugins/manifest", "state"}, "knows no concrete stage"},
	{"engine/workflow", nil, "the language stands alone"},
	{"state", nil, "what happened stands alone"},
	{"cuda", nil, "the GPU stands alone"},
	{"cuda/cudatest", nil, "a card for tests"},
	{"plugins", nil, "the contract stands alone"},
	{"plugins/manifest", nil, "folder manifests stand alone"},
	{"plugins/proto/…", []string{"plugins/proto/…"}, "generated code"},
	{"plugins/internal/…", []string{"plugins", "plugins/proto/…", "plugins/internal/…"}, "only wire touches generated types"},
	{"plugins/host", []string{"plugins", "plugins/manifest", "plugins/internal/…"}, "starts and ends processes"},
	{"plugins/sdk", []string{"plugins", "plugins/manifest", "plugins/internal/…"}, "serves a stage"},
	{"plugins/plugintest", []string{"plugins", "plugins/manifest", "plugins/host", "plugins/internal/…"}, "conformance of any plugin"},
	{"plugins/examples/…", []string{"plugins", "plugins/sdk"}, "what a stranger would write"},
	{"stages", []string{"plugins", "stages/X"}, "the table of built-in stages"},
	{"stages/internal/backend/…", []string{"cuda", "stages/internal/backend", "stages/internal/backend/…"}, "the one way to the GPU"},
	{"stages/internal/backend", []string{"cuda", "stages/internal/backend/…"}, "the one way to the GPU"},
	{"stages/internal/…", []string{"plugins", "stages/internal/…"}, "what stages share"},
	{"stages/X", []string{"plugins", "stages/internal/…"}, "a stage never imports engine, state or another stage"},
}

// doors names, for each foreign library with one door, where it may be imported.
var doors = map[string][]string{
	"github.com/hashicorp/go-plugin": {"plugins/host", "plugins/sdk", "plugins/internal/…"},
	"github.com/hashicorp/go-hclog":  {"plugins/host", "plugins/sdk", "plugins/internal/…"},
	"google.golang.org/":             {"plugins/host", "plugins/sdk", "plugins/internal/…", "plugins/proto/…"},
	"github.com/dominikbraun/graph":  {"engine"},
	"github.com/expr-lang/expr":      {"engine/workflow"},
	"github.com/goccy/go-yaml":       {"engine/workflow", "plugins/manifest"},
	"github.com/nlpodyssey/spago":    {"stages/internal/…"},
	"go.etcd.io/bbolt":               {"state"},
	"github.com/rs/zerolog":          {"engine/cli", "plugins/sdk"},
	"github.com/spf13/cobra":         {"engine/cli"},
	"C":                              {"cuda", "stages/internal/backend/…"},
}

// topLevel is everything that may stand in the root, dotfiles apart.
var topLevel = []string{
	"engine", "stages", "plugins", "workflows", "cuda", "state",
	"go.mod", "go.sum", "Taskfile.yml", "README.md", "main.go", "LICENSE",
}

type pkg struct {
	ImportPath, Dir string
	Imports         []string
	CgoFiles        []string
}

func TestImports(t *testing.T) {
	for _, p := range packages(t) {
		name := local(p.ImportPath)
		r, found := ruleFor(name)
		if !found {
			t.Errorf("package %s has no rule: say in the table what it may import", name)
			continue
		}
		for _, imported := range p.Imports {
			if !strings.HasPrefix(imported, module) {
				continue
			}
			if to := local(imported); !matchAny(r.may, to) {
				t.Errorf("%s imports %s; it may import %v (%s)", name, to, r.may, r.note)
			}
		}
	}
}

func TestDoors(t *testing.T) {
	for _, p := range packages(t) {
		name := local(p.ImportPath)
		for _, imported := range p.Imports {
			for library, allowed := range doors {
				if (imported == library || library != "C" && strings.HasPrefix(imported, library)) && !matchAny(allowed, name) {
					t.Errorf("%s imports %s; its door is %v", name, imported, allowed)
				}
			}
		}
		if len(p.CgoFiles) > 0 && !matchAny(doors["C"], name) {
			t.Errorf("%s uses cgo; that belongs in %v", name, doors["C"])
		}
	}
}

func TestTopLevel(t *testing.T) {
	entries, err := os.ReadDir(root(t))
	if err != nil {
		t.Fatal(err)
	}
	for _, e := range entries {
		name := e.Name()
		if strings.HasPrefix(name, ".") || slices.Contains(topLevel, name) || ignored(t, name) {
			continue
		}
		t.Errorf("%s stands at the top level, where only %v belong", name, topLevel)
	}
}

// forbidden calls, with the places where they are right.
var forbidden = []struct {
	call   *regexp.Regexp
	except []string
	why    string
}{
	{regexp.MustCompile(`\bos\.Executable\(`), []string{"."}, "the path to self comes from main"},
	{regexp.MustCompile(`\bos\.Exit\(`), []string{".", "engine/cli", "plugins/sdk", "plugins/examples/…"}, "only the command line chooses an exit code"},
	{regexp.MustCompile(`\bfmt\.Print(ln|f)?\(`), []string{"engine/cli"}, "only the command line prints"},
	// The worker pool's last resort after spinning, and a lock that its system cannot wait for.
	{regexp.MustCompile(`\btime\.Sleep\(`), []string{"stages/internal/backend/cpu", "state"}, "wait for an event or a timer that ends with the context"},
}

func TestForbiddenCalls(t *testing.T) {
	for _, p := range packages(t) {
		name := local(p.ImportPath)
		for _, file := range sources(t, p.Dir) {
			text := readWithoutComments(t, file)
			for _, f := range forbidden {
				if f.call.MatchString(text) && !matchAny(f.except, name) {
					t.Errorf("%s calls %s: %s", file, f.call, f.why)
				}
			}
		}
	}
}

var generated = regexp.MustCompile(`(?m)^// Code generated .* DO NOT EDIT\.$`)

// TestFileLength keeps files about one thing. Generated files are not counted.
func TestFileLength(t *testing.T) {
	const limit = 450
	for _, p := range packages(t) {
		for _, file := range sources(t, p.Dir) {
			b, err := os.ReadFile(file)
			if err != nil {
				t.Fatal(err)
			}
			if n := strings.Count(string(b), "\n"); n > limit && !generated.Match(b) {
				t.Errorf("%s has %d lines, more than %d: split it", file, n, limit)
			}
		}
	}
}

func packages(t *testing.T) []pkg {
	t.Helper()
	cmd := exec.Command("go", "list", "-json=ImportPath,Dir,Imports,CgoFiles", "./...")
	cmd.Dir = root(t)
	out, err := cmd.Output()
	if err != nil {
		var exit *exec.ExitError
		if errors.As(err, &exit) {
			t.Fatalf("go list: %v\n%s", err, exit.Stderr)
		}
		t.Fatal(err)
	}
	var all []pkg
	for d := json.NewDecoder(strings.NewReader(string(out))); ; {
		var p pkg
		if err := d.Decode(&p); errors.Is(err, io.EOF) {
			break
		} else if err != nil {
			t.Fatal(err)
		}
		all = append(all, p)
	}
	if len(all) < 10 {
		t.Fatalf("go list found %d packages: the test looks at the wrong tree", len(all))
	}
	return all
}

func root(t *testing.T) string {
	t.Helper()
	dir, err := filepath.Abs("../../..")
	if err != nil {
		t.Fatal(err)
	}
	return dir
}

func local(path string) string {
	if path == module {
		return "."
	}
	return strings.TrimPrefix(path, module+"/")
}

func ruleFor(name string) (rule, bool) {
	for _, r := range table {
		if match(r.of, name) {
			return r, true
		}
	}
	return rule{}, false
}

func matchAny(patterns []string, name string) bool {
	return slices.ContainsFunc(patterns, func(p string) bool { return match(p, name) })
}

func match(pattern, name string) bool {
	re := regexp.QuoteMeta(pattern)
	re = strings.ReplaceAll(re, "/X", "/[^/]+")
	re = strings.ReplaceAll(re, "…", ".+")
	return regexp.MustCompile("^" + re + "$").MatchString(name)
}

// ignored reports whether git ignores the entry: what a build or a run leaves.
func ignored(t *testing.T, name string) bool {
	cmd := exec.Command("git", "check-ignore", "-q", name)
	cmd.Dir = root(t)
	return cmd.Run() == nil
}

// sources lists the hand-written, non-test Go files of a folder, whatever their build tags.
func sources(t *testing.T, dir string) []string {
	t.Helper()
	files, err := filepath.Glob(filepath.Join(dir, "*.go"))
	if err != nil {
		t.Fatal(err)
	}
	return slices.DeleteFunc(files, func(f string) bool { return strings.HasSuffix(f, "_test.go") })
}

func readWithoutComments(t *testing.T, file string) string {
	t.Helper()
	b, err := os.ReadFile(file)
	if errors.Is(err, fs.ErrNotExist) {
		return ""
	} else if err != nil {
		t.Fatal(err)
	}
	set := token.NewFileSet()
	f, err := parser.ParseFile(set, file, b, parser.ParseComments)
	if err != nil {
		t.Fatal(err)
	}
	for _, group := range f.Comments {
		for i := set.Position(group.Pos()).Offset; i < set.Position(group.End()).Offset; i++ {
			b[i] = ' '
		}
	}
	return string(b)
}
