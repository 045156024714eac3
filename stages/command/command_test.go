//go:build unix

package command_test

import (
	"encoding/json"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/so8t/so8t/plugins"
	"github.com/so8t/so8t/stages/command"
)

// attempt is one in folders of its own, in a project that holds the files.
func attempt(t *testing.T, with string, files map[string]string) *plugins.Attempt {
	t.Helper()
	dir := t.TempDir()
	a := &plugins.Attempt{With: json.RawMessage(with), Stop: make(chan struct{})}
	a.ScratchDir = filepath.Join(dir, "scratch")
	for name, at := range map[string]*string{"project": &a.ProjectDir, "out": &a.OutputDir} {
		*at = filepath.Join(dir, name)
		if err := os.Mkdir(*at, 0o755); err != nil {
			t.Fatal(err)
		}
	}
	for name, text := range files {
		path := filepath.Join(a.ProjectDir, name)
		if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(path, []byte(text), 0o755); err != nil {
			t.Fatal(err)
		}
	}
	return a
}

func read(t *testing.T, elements ...string) string {
	t.Helper()
	text, err := os.ReadFile(filepath.Join(elements...))
	if err != nil {
		t.Fatal(err)
	}
	return string(text)
}

// The working folder is empty but for what run names, and the script finds what lies beside it.
func TestRun_NamedFileIsThereByItsName(t *testing.T) {
	a := attempt(t, `{"run":"sh tools/all.sh >all.txt","outputs":{"all":"all.txt"}}`,
		map[string]string{"tools/all.sh": "ls; ls $(dirname $(readlink -f \"$0\"))", "tools/beside.txt": "", "all.txt": "the project's own"})
	if _, err := (command.Stage{}).Run(t.Context(), a); err != nil {
		t.Fatal(err)
	}
	if got := read(t, a.OutputDir, "all.txt"); got != "all.txt\ntools\nall.sh\nbeside.txt\n" {
		t.Errorf("it saw %q", got)
	}
	if got := read(t, a.ProjectDir, "all.txt"); got != "the project's own" {
		t.Errorf("the file of the project holds %q", got)
	}
}

func TestRun_Outputs(t *testing.T) {
	for name, c := range map[string]struct {
		with, failure string
		files         map[string]string
	}{
		"a file and a folder that holds another": {
			with:  `{"run":"mkdir -p d/e; echo 1 > d/e/f; echo 2 > g","outputs":{"d":"d","f":"d/e/f","g":"./g"}}`,
			files: map[string]string{"d/e/f": "1\n", "g": "2\n"},
		},
		"its variable names the place": {
			with:  `{"run":["sh","-c","echo 1 > \"$SO8T_OUTPUT_THE_LIST\""],"outputs":{"the-list":"deep/er/list"}}`,
			files: map[string]string{"deep/er/list": "1\n"},
		},
		"missing":       {with: `{"run":"true","outputs":{"a":"x","b":"y/z"}}`, failure: "did not write a (x), b (y/z)"},
		"a failed line": {with: `{"run":"false\necho 1 > a","outputs":{"a":"a"}}`, failure: "exit status 1"},
		"last words":    {with: `{"run":"echo begin >&2; echo the end >&2; kill -9 $$"}`, failure: "signal: killed: the end"},
	} {
		t.Run(name, func(t *testing.T) {
			a := attempt(t, c.with, nil)
			_, err := command.Stage{}.Run(t.Context(), a)
			if c.failure != "" {
				if err == nil || !strings.Contains(err.Error(), c.failure) {
					t.Errorf("got %v, want %q", err, c.failure)
				}
				return
			}
			if err != nil {
				t.Fatal(err)
			}
			for path, want := range c.files {
				if got := read(t, a.OutputDir, path); got != want {
					t.Errorf("%s holds %q", path, got)
				}
			}
		})
	}
}

// In a folder of the user's, outputs stay where the program wrote them; one that it did not write
// is taken, but not in silence.
func TestRun_Cwd_CopiesAndWarns(t *testing.T) {
	a := attempt(t, `{"run":"echo 1 > new","cwd":"work","outputs":{"new":"new","old":"old"}}`, map[string]string{"work/old": "0"})
	var warned string
	a.Emit = func(e plugins.Event) { warned += e.(plugins.Warning).Message }
	if _, err := (command.Stage{}).Run(t.Context(), a); err != nil {
		t.Fatal(err)
	}
	if read(t, a.OutputDir, "new") != read(t, a.ProjectDir, "work", "new") || read(t, a.OutputDir, "old") != "0" {
		t.Error("the outputs are not copies")
	}
	if !strings.Contains(warned, "output old: ") || strings.Contains(warned, "new") {
		t.Errorf("warned %q", warned)
	}
}

func TestRun_Environment(t *testing.T) {
	t.Setenv("SO8T_PLUGIN", "stage-v1")
	t.Setenv("PLUGIN_UNIX_SOCKET_DIR", "/nowhere")
	t.Setenv("KEPT", "yes")
	a := attempt(t, `{"run":"env > e","inputs":{"my-text":"/in","all":["/a","/b"]},"outputs":{"e":"e"},"env":{"N":3,"B":true,"X":0.5,"T":"a b"}}`, nil)
	if _, err := (command.Stage{}).Run(t.Context(), a); err != nil {
		t.Fatal(err)
	}
	env := "\n" + read(t, a.OutputDir, "e")
	for _, want := range []string{
		"N=3", "B=true", "X=0.5", "T=a b", "KEPT=yes", "SO8T_INPUT_MY_TEXT=/in", "SO8T_INPUT_ALL=/a\n/b",
		"SO8T_OUTPUT_E=" + filepath.Join(a.ScratchDir, "e"), "SO8T_PROJECT_DIR=" + a.ProjectDir,
	} {
		if !strings.Contains(env, "\n"+want+"\n") {
			t.Errorf("no %s in %s", want, env)
		}
	}
	for _, secret := range []string{"SO8T_PLUGIN=", "PLUGIN_UNIX"} {
		if strings.Contains(env, secret) {
			t.Errorf("the program sees %s", secret)
		}
	}
}

func TestCheck(t *testing.T) {
	files := map[string]string{"tools/run.sh": "x", "in.txt": "y", "out.txt": "z", "log": "l", "work/here.sh": "h"}
	for name, c := range map[string]struct{ with, facts, problem string }{
		"named files":        {with: `{"run":"sh tools/run.sh --x=in.txt nothing >log","outputs":{"o":"out.txt"}}`, facts: "in.txt tools/run.sh"},
		"named in a list":    {with: `{"run":["sh","tools/run.sh","--x=in.txt"]}`, facts: "in.txt tools/run.sh"},
		"outputs and inputs": {with: `{"run":["sh","./tools/run.sh","out.txt","PROJECT/in.txt"],"outputs":{"o":"out.txt"},"inputs":{"s":"PROJECT/tools/run.sh"}}`},
		"relative to cwd":    {with: `{"run":"sh here.sh ../in.txt","cwd":"work"}`, facts: "here.sh"},
		"no run":             {with: `{"run":""}`, problem: "run is empty"},
		"run of lists":       {with: `{"run":[["a"]]}`, problem: "item 1 is no text"},
		"outside":            {with: `{"run":"x","outputs":{"o":"../o"}}`, problem: "no file or folder below"},
		"all of it":          {with: `{"run":"x","outputs":{"o":"."}}`, problem: "no file or folder below"},
		"bad name":           {with: `{"run":"x","outputs":{"1 2":"o"}}`, problem: `the name "1 2"`},
		"same variable":      {with: `{"run":"x","inputs":{"a-b":"/x","a_b":"/y"}}`, problem: "the same variable"},
		"input":              {with: `{"run":"x","inputs":{"a":[1]}}`, problem: "a path or a list of paths"},
		"env":                {with: `{"run":"x","env":{"A":[1]}}`, problem: `the variable "A"`},
		"no cwd":             {with: `{"run":"x","cwd":"nowhere"}`, problem: "no such file"},
		"cwd is a file":      {with: `{"run":"x","cwd":"in.txt"}`, problem: "not a folder"},
		"no program":         {with: `{"run":["so8t-no-such-program"]}`, problem: `no program "so8t-no-such-program" on PATH`},
		"no program there":   {with: `{"run":["./nothing.sh"]}`, problem: `no program "./nothing.sh"`},
	} {
		t.Run(name, func(t *testing.T) {
			a := attempt(t, c.with, files)
			with := strings.ReplaceAll(c.with, "PROJECT", a.ProjectDir)
			report, err := command.Stage{}.Check(t.Context(), plugins.CheckRequest{With: json.RawMessage(with), ProjectDir: a.ProjectDir})
			if err != nil {
				t.Fatal(err)
			}
			if c.problem == "" && report.Facts["platform"] == "" {
				t.Error("no fact that is always there: it would not be asked again when a named file is made")
			}
			delete(report.Facts, "platform")
			var facts, problems []string
			for _, f := range []string{"here.sh", "in.txt", "log", "out.txt", "tools/run.sh"} {
				if strings.HasPrefix(report.Facts[f], "sha256:") {
					facts = append(facts, f)
				}
			}
			for _, p := range report.Problems {
				problems = append(problems, p.Message)
			}
			if got := strings.Join(facts, " "); got != c.facts || len(facts) != len(report.Facts) {
				t.Errorf("facts %v, want %q", report.Facts, c.facts)
			}
			if got := strings.Join(problems, "; "); !strings.Contains(got, c.problem) || (got == "") != (c.problem == "") {
				t.Errorf("problems %q, want %q", got, c.problem)
			}
		})
	}
}

func TestDescribe_OutputsOf(t *testing.T) {
	d := command.Stage{}.Describe()
	got := d.OutputsOf(json.RawMessage(`{"run":"x","outputs":{"b":"./y//z","a":"x"}}`))
	if len(got) != 2 || got[0] != (plugins.Output{Name: "a", Path: "x"}) || got[1] != (plugins.Output{Name: "b", Path: "y/z"}) {
		t.Errorf("got %+v", got)
	}
	if got := d.OutputsOf(nil); len(got) != 0 {
		t.Errorf("of nothing: %+v", got)
	}
}
