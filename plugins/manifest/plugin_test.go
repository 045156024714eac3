package manifest

import (
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"
)

func folder(t *testing.T, files map[string]string) string {
	t.Helper()
	dir := t.TempDir()
	for name, text := range files {
		path := filepath.Join(dir, name)
		if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(path, []byte(text), 0o755); err != nil {
			t.Fatal(err)
		}
	}
	return dir
}

func TestReadPlugin_Folder(t *testing.T) {
	dir := folder(t, map[string]string{
		PluginFileName: "command: [./main.py, --fast]\nfiles: [rules/]\nenv: { SEED: \"0\", VIRTUAL_ENV: }\nstart_timeout: 1m\n",
		"main.py":      "x", "rules/a": "a", "rules/b": "b", "README": "not part of it",
	})
	p, err := ReadPlugin(dir)
	if err != nil {
		t.Fatal(err)
	}
	if want := []string{filepath.Join(dir, "main.py"), "--fast"}; !slices.Equal(p.Command, want) || p.Dir != dir {
		t.Errorf("command %q in %q", p.Command, p.Dir)
	}
	if p.StartTimeout != time.Minute || *p.Env["SEED"] != "0" {
		t.Errorf("got %+v", p)
	}
	if v, ok := p.Env["VIRTUAL_ENV"]; !ok || v != nil {
		t.Error("a variable without a value is not passed on")
	}
	before, files, err := p.Digest()
	if err != nil {
		t.Fatal(err)
	}
	var names []string
	for _, f := range files {
		names = append(names, f.Path)
	}
	if want := []string{"main.py", "rules/a", "rules/b", PluginFileName}; !slices.Equal(names, want) {
		t.Errorf("files %q", names)
	}
	for name, changes := range map[string]bool{"rules/b": true, "main.py": true, PluginFileName: true, "README": false} {
		path := filepath.Join(dir, name)
		old, _ := os.ReadFile(path)
		if err := os.WriteFile(path, append(old, '\n'), 0o755); err != nil {
			t.Fatal(err)
		}
		if after, _, err := p.Digest(); err != nil || (after != before) != changes {
			t.Errorf("changing %s: digest %s, before %s, %v", name, after, before, err)
		}
		if err := os.WriteFile(path, old, 0o755); err != nil {
			t.Fatal(err)
		}
	}
}

func TestReadPlugin_NoFilesListed_IsAllOfThem(t *testing.T) {
	dir := folder(t, map[string]string{PluginFileName: "command: [python3, main.py]\n", "main.py": "x"})
	p, err := ReadPlugin(dir)
	if err != nil {
		t.Fatal(err)
	}
	if p.Command[0] != "python3" {
		t.Errorf("command %q", p.Command)
	}
	if _, files, err := p.Digest(); err != nil || len(files) != 2 {
		t.Errorf("files %v, %v", files, err)
	}
}

// What is installed and compiled beside the program is not what its author wrote.
func TestReadPlugin_VirtualEnvironment_IsNotItsIdentity(t *testing.T) {
	dir := folder(t, map[string]string{
		PluginFileName: "command: [.venv/bin/python, main.py]\n", "main.py": "x", "requirements.txt": "y", "lib/part.py": "z",
		".venv/pyvenv.cfg": "", ".venv/bin/python": "the interpreter", ".venv/lib/module.py": "",
		"__pycache__/main.pyc": "1", "lib/__pycache__/part.pyc": "2",
	})
	if err := os.Symlink("module.py", filepath.Join(dir, ".venv/lib/link.py")); err != nil {
		t.Skip("no links here")
	}
	p, err := ReadPlugin(dir)
	if err != nil {
		t.Fatal(err)
	}
	for _, files := range [][]string{nil, {"."}, {"main.py", "requirements.txt", "lib"}} {
		p.Files = files
		_, found, err := p.Digest()
		var names []string
		for _, f := range found {
			names = append(names, f.Path)
		}
		if want := []string{"lib/part.py", "main.py", "requirements.txt", PluginFileName}; err != nil || !slices.Equal(names, want) {
			t.Errorf("files %v: %v, %v", files, names, err)
		}
	}
}

func TestInterpreter_OnWindows(t *testing.T) {
	dir := folder(t, map[string]string{".venv/pyvenv.cfg": "", "tools/bin/python": ""})
	for path, want := range map[string]string{
		".venv/bin/python":     ".venv/Scripts/python.exe",
		".venv/bin/python.exe": ".venv/Scripts/python.exe",
		".venv/lib/python":     ".venv/lib/python",
		"tools/bin/python":     "tools/bin/python",
	} {
		full := filepath.Join(dir, filepath.FromSlash(path))
		if got := interpreter(full, "windows"); got != filepath.Join(dir, filepath.FromSlash(want)) {
			t.Errorf("%s is %s", path, got)
		}
		if got := interpreter(full, "linux"); got != full {
			t.Errorf("elsewhere, %s is %s", path, got)
		}
	}
}

func TestReadPlugin_Script(t *testing.T) {
	dir := folder(t, map[string]string{"main.py": "x", "other": "y"})
	p, err := ReadPlugin(filepath.Join(dir, "main.py"))
	if err != nil {
		t.Fatal(err)
	}
	_, files, err := p.Digest()
	if err != nil || len(files) != 1 || files[0].Path != "main.py" || p.Command[0] != filepath.Join(dir, "main.py") {
		t.Errorf("got %+v with %v, %v", p, files, err)
	}
}

func TestReadPlugin_Problems(t *testing.T) {
	for _, c := range []struct{ text, want string }{
		{"files: [a]", "command is missing"},
		{"command: []", "command is missing"},
		{"command: [a]\ncomand: [b]", "comand"},
		{"command: [a]\nfiles: [../b]", "not below"},
		{"command: [a]\nstart_timeout: soon", "no positive duration"},
		{"command: [", PluginFileName},
		{strings.Repeat("[", 50_000), "opening brackets"},
		{strings.Repeat("#", 100_000), "bytes"},
	} {
		dir := folder(t, map[string]string{PluginFileName: c.text})
		if _, err := ReadPlugin(dir); err == nil || !strings.Contains(err.Error(), c.want) {
			t.Errorf("%q: got %v", c.text, err)
		}
	}
	if _, err := ReadPlugin(t.TempDir()); err == nil || !strings.Contains(err.Error(), "has no "+PluginFileName) {
		t.Errorf("got %v", err)
	}
	if _, err := ReadPlugin("/no/such/plugin"); err == nil {
		t.Error("a plugin that is not there was read")
	}
}

func FuzzParsePlugin(f *testing.F) {
	f.Add([]byte("command: [a, b]\nfiles: [c]\nenv: {A: b, C: }\nstart_timeout: 3s"))
	f.Add([]byte("command: &a [*a]"))
	f.Fuzz(func(t *testing.T, text []byte) {
		if p, err := parsePlugin("/x", text); err == nil && (len(p.Command) == 0 || p.Command[0] == "") {
			t.Errorf("accepted without a command: %q", text)
		}
	})
}
