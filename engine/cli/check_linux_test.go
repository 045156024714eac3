package cli_test

import (
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
)

// checked has three stages, one of which a second run reuses.
const checked = `
version: 1
name: checked
params: { seed: { type: int, default: 1 } }
stages:
  a: { uses: noop, with: { seed: 1, bytes: 2000 } }
  b: { uses: noop, with: { seed: "${params.seed}", steps: 3, checkpoint_every: 1, inputs: ["${stages.a.outputs.out}"] } }
  c: { uses: noop, with: { seed: 3, inputs: ["${stages.b.outputs.out}"] } }
`

// prototype is a project with two runs of checked, made once and copied.
func prototype(t *testing.T) (dir string, sums string) {
	t.Helper()
	p := newProject(t, checked)
	p.want(0, "run")
	p.want(0, "run", "--param", "seed=2")
	return p.dir, p.sums()
}

// sums are the digests of the newest run's outputs, by stage.
func (p project) sums() string {
	p.t.Helper()
	var b strings.Builder
	for _, s := range p.status().Stages {
		fmt.Fprintf(&b, "%s %s\n", s.Instance, s.Outputs["out"].SHA256)
	}
	return b.String()
}

func (p project) findings(code int) (codes []string) {
	p.t.Helper()
	got, out, errs := p.run(nil, "check", "--json")
	if got != code {
		p.t.Errorf("check: exit %d, want %d: %s%s", got, code, out, errs)
	}
	var view struct {
		Findings []struct{ Severity, Code, Path, Message, Repair string }
	}
	if err := json.Unmarshal([]byte(out), &view); err != nil {
		p.t.Fatal(err)
	}
	for _, f := range view.Findings {
		if f.Code == "" || f.Path == "" || f.Message == "" || (f.Severity == "damage") == (f.Repair == "") {
			p.t.Errorf("finding %+v", f)
		}
		codes = append(codes, f.Code)
	}
	return codes
}

// one finds the one path below the state folder that fits a pattern, the last when there are more.
func (p project) one(pattern string) string {
	p.t.Helper()
	paths, err := filepath.Glob(filepath.Join(p.dir, ".so8t", pattern))
	if err != nil || len(paths) == 0 {
		p.t.Fatalf("%s: %v, %v", pattern, paths, err)
	}
	return paths[len(paths)-1]
}

func (p project) change(pattern string, change func([]byte) []byte) {
	p.t.Helper()
	path := p.one(pattern)
	text, err := os.ReadFile(path)
	if err == nil {
		err = os.WriteFile(path, change(text), 0o644)
	}
	if err != nil {
		p.t.Fatal(err)
	}
}

func (p project) remove(pattern string) {
	p.t.Helper()
	if err := os.RemoveAll(p.one(pattern)); err != nil {
		p.t.Fatal(err)
	}
}

func cutAt(n int) func([]byte) []byte { return func(b []byte) []byte { return b[:min(n, len(b))] } }

func cutLines(n int) func([]byte) []byte {
	return func(b []byte) []byte {
		lines := strings.SplitAfter(string(b), "\n")
		return []byte(strings.Join(lines[:len(lines)-1-n], ""))
	}
}

func zeroed(from, to int) func([]byte) []byte {
	return func(b []byte) []byte { clear(b[from:min(to, len(b))]); return b }
}

// TestCheckRepair: each thing that can happen to the state is told by exit code and finding, is
// repaired, and the next run gives the same artifacts. What was damaged is kept aside.
func TestCheckRepair(t *testing.T) {
	const journal = "runs/*/events.jsonl"
	const lastOutput = "runs/*/stages/c/1/out/out"
	for name, c := range map[string]struct {
		damage func(p project)
		code   int
		find   string // a finding's code
		aside  string // what is there after the repair
	}{
		"database truncated":         {func(p project) { p.change("state.db", cutAt(5000)) }, 4, "database", "state.db.damaged-1"},
		"database cut to nothing":    {func(p project) { p.change("state.db", cutAt(0)) }, 4, "database", "state.db.damaged-1"},
		"database zeroed":            {func(p project) { p.change("state.db", zeroed(0, 1<<30)) }, 4, "database", "state.db.damaged-1"},
		"database's head zeroed":     {func(p project) { p.change("state.db", zeroed(0, 8192)) }, 4, "database", "state.db.damaged-1"},
		"database lost":              {func(p project) { p.remove("state.db") }, 4, "database", "state.db"},
		"journal lost":               {func(p project) { p.remove(journal) }, 4, "journal_missing", journal},
		"journal cut in a line":      {func(p project) { p.change(journal, func(b []byte) []byte { return b[:len(b)-9] }) }, 4, "journal_behind", journal + ".damaged-1"},
		"journal cut between lines":  {func(p project) { p.change(journal, cutLines(3)) }, 4, "journal_behind", journal + ".damaged-1"},
		"journal flipped":            {func(p project) { p.change(journal, func(b []byte) []byte { b[len(b)/2] ^= 4; return b }) }, 4, "journal", journal + ".damaged-1"},
		"database and journal":       {func(p project) { p.change("state.db", cutAt(9000)); p.change(journal, zeroed(200, 900)) }, 4, "database", journal + ".damaged-1"},
		"database lost, journal too": {func(p project) { p.remove("state.db"); p.remove(journal) }, 4, "database", "state.db"},
		"artifact deleted":           {func(p project) { p.remove(lastOutput) }, 4, "attempt_damaged", "runs/*/stages/c/1.damaged-1"},
		"artifact changed":           {func(p project) { p.change(lastOutput, func(b []byte) []byte { b[0] ^= 1; return b }) }, 4, "attempt_damaged", "runs/*/stages/c/1.damaged-1"},
		"manifest zeroed":            {func(p project) { p.change("runs/*/stages/c/1/manifest.json", zeroed(0, 1<<30)) }, 4, "attempt_damaged", "runs/*/stages/c/1.damaged-1"},
		"attempt deleted":            {func(p project) { p.remove("runs/*/stages/c/1") }, 4, "attempt_missing", "state.db"},
		"run deleted":                {func(p project) { p.remove("runs/*") }, 4, "run_missing", journal},
		"attempt half written":       {func(p project) { must(p.t, os.MkdirAll(p.one("runs/*/stages/c")+"/7/out", 0o755)) }, 0, "attempt_unknown", "runs/*/stages/c/7"},
		"lock left":                  {func(p project) { must(p.t, os.WriteFile(p.one("locks")+"/left", nil, 0o644)) }, 0, "lock", "locks/left"},
		"database half made":         {func(p project) { must(p.t, os.WriteFile(p.one("state.db")+".new", nil, 0o644)) }, 0, "database_temporary", "state.db.new"},
		"database older": {func(p project) {
			old := p.dir + "/old.db"
			must(p.t, os.Rename(p.one("state.db"), old)) // of before the third run
			copyFile(p.t, old, filepath.Join(p.dir, ".so8t", "state.db"))
			p.want(0, "run", "--param", "seed=2", "--force", "c")
			copyFile(p.t, old, filepath.Join(p.dir, ".so8t", "state.db"))
			// The run that the old one does not know has its folder; the others agree.
		}, 0, "run_unknown", "state.db"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			dir, want := prototype(t)
			p := project{t, t.TempDir()}
			must(t, os.CopyFS(p.dir, os.DirFS(dir)))
			c.damage(p)
			if codes := p.findings(c.code); !slices.Contains(codes, c.find) {
				t.Errorf("findings %v, want %s", codes, c.find)
			}
			p.want(0, "check", "--repair")
			p.findings(0)
			p.one(c.aside)
			p.want(0, "run", "--param", "seed=2")
			if got := p.sums(); got != want {
				t.Errorf("artifacts after the repair:\n%s\nwant\n%s", got, want)
			}
			p.findings(0)
		})
	}
}

func must(t *testing.T, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

func copyFile(t *testing.T, from, to string) {
	t.Helper()
	text, err := os.ReadFile(from)
	must(t, err)
	must(t, os.WriteFile(to, text, 0o644))
}

// TestCheckRepair_BitFlips: a bit flipped in any kind of byte of the database (both heads, free list,
// branches, headers, keys, values, checksums) is found or does no harm.
func TestCheckRepair_BitFlips(t *testing.T) {
	t.Parallel()
	dir, want := prototype(t)
	whole, err := os.ReadFile(filepath.Join(dir, ".so8t", "state.db"))
	must(t, err)
	flips := 24
	if testing.Short() {
		flips = 6
	}
	found := 0
	p := project{t, t.TempDir()}
	must(t, os.CopyFS(p.dir, os.DirFS(dir)))
	for i := range flips {
		at := i*len(whole)/flips + []int{2, 9, 24, 57, 130, 1021}[i%6]
		broken := slices.Clone(whole)
		broken[at%len(broken)] ^= 1 << (i % 8)
		must(t, os.WriteFile(filepath.Join(p.dir, ".so8t", "state.db"), broken, 0o644))
		if code, _, _ := p.run(nil, "check"); code == 4 {
			found++
		} else if code != 0 {
			t.Errorf("byte %d: check: exit %d", at, code)
		}
		p.want(0, "check", "--repair")
		p.want(0, "run", "--param", "seed=2")
		if got := p.sums(); got != want {
			t.Errorf("byte %d: artifacts:\n%s\nwant\n%s", at, got, want)
		}
	}
	t.Logf("%d of %d flips found; the others lie in unused bytes", found, flips)
}
