package workflow

import (
	"encoding/json"
	"os"
	"path/filepath"
	"reflect"
	"slices"
	"sort"
	"strings"
	"testing"
)

const fixtures = "testdata/workflows"

func describeFixtures(t testing.TB) *Descriptions {
	t.Helper()
	d, err := DescribeFile(filepath.Join(fixtures, "describe.json"))
	if err != nil {
		t.Fatal(err)
	}
	return d
}

func loadFixture(t testing.TB, dir string, given map[string]string) (*Workflow, error) {
	t.Helper()
	d := describeFixtures(t)
	return Load(filepath.Join(dir, "workflow.yaml"), Options{Root: dir, Params: given, Describe: d.Describe, Plugins: d.Names()})
}

func fixtureCases(t *testing.T, kind string) []string {
	t.Helper()
	entries, err := os.ReadDir(filepath.Join(fixtures, kind))
	if err != nil {
		t.Fatal(err)
	}
	var out []string
	for _, e := range entries {
		out = append(out, e.Name())
	}
	return out
}

func readExpected(t *testing.T, dir string, into any) {
	t.Helper()
	text, err := os.ReadFile(filepath.Join(dir, "expected.json"))
	if err != nil {
		t.Fatal(err)
	}
	if err := json.Unmarshal(text, into); err != nil {
		t.Fatal(err)
	}
}

func check(t *testing.T, problems []string) {
	t.Helper()
	for _, p := range problems {
		t.Error(p)
	}
}

func TestRight(t *testing.T) {
	for _, name := range fixtureCases(t, "ok") {
		t.Run(name, func(t *testing.T) {
			dir := filepath.Join(fixtures, "ok", name)
			var want map[string]any
			readExpected(t, dir, &want)
			given := map[string]string{}
			if g, ok := want["given"].(map[string]any); ok {
				for k, v := range g {
					given[k] = v.(string)
				}
			}
			w, err := loadFixture(t, dir, given)
			if err != nil {
				check(t, []string{err.Error()})
				return
			}
			check(t, compareRight(t, w, want))
		})
	}
}

func compareRight(t *testing.T, w *Workflow, want map[string]any) []string {
	t.Helper()
	text, err := json.Marshal(w)
	if err != nil {
		t.Fatal(err)
	}
	var got map[string]any
	if err := json.Unmarshal(text, &got); err != nil {
		t.Fatal(err)
	}
	var out []string
	for _, key := range []string{"params", "slots", "stages", "edges", "levels"} {
		if want[key] == nil {
			continue
		}
		if key == "edges" {
			sortWhy(got[key])
			sortWhy(want[key])
		}
		if !reflect.DeepEqual(got[key], want[key]) {
			out = append(out, key+": got "+dump(got[key])+"\nwant "+dump(want[key]))
		}
	}
	gotNodes, wantNodes := got["nodes"].([]any), want["nodes"].([]any)
	if len(gotNodes) != len(wantNodes) {
		return append(out, "nodes: got "+dump(gotNodes))
	}
	for i := range wantNodes {
		g, w := gotNodes[i].(map[string]any), wantNodes[i].(map[string]any)
		if _, ok := w["needs"]; !ok {
			delete(g, "needs")
		}
		if !reflect.DeepEqual(g, w) {
			out = append(out, "node: got "+dump(g)+"\nwant "+dump(w))
		}
	}
	return out
}

func sortWhy(edges any) {
	for _, e := range edges.([]any) {
		why := e.(map[string]any)["why"].([]any)
		sort.Slice(why, func(i, j int) bool { return why[i].(string) < why[j].(string) })
	}
}

func dump(v any) string {
	out, _ := json.Marshal(v)
	return string(out)
}

type expectedProblem struct {
	File    *string
	Line    *int
	Col     *int
	Class   string
	Mention []string
	Path    []string
}

func TestWrong(t *testing.T) {
	for _, name := range fixtureCases(t, "bad") {
		t.Run(name, func(t *testing.T) {
			dir := filepath.Join(fixtures, "bad", name)
			var want struct {
				Given    map[string]string
				Problems []expectedProblem
			}
			readExpected(t, dir, &want)
			_, err := loadFixture(t, dir, want.Given)
			problems, _ := err.(Problems)
			check(t, compareWrong(problems, want.Problems))
		})
	}
}

// compareWrong pairs each expected problem with the first that fits it.
func compareWrong(got Problems, want []expectedProblem) []string {
	var out []string
	rest := slices.Clone(got)
	for _, w := range want {
		i := slices.IndexFunc(rest, func(p Problem) bool { return fits(p, w) })
		if i < 0 {
			out = append(out, "missing: "+dump(w))
			continue
		}
		rest = slices.Delete(rest, i, i+1)
	}
	for _, p := range rest {
		out = append(out, "unexpected: "+p.Code+" "+p.Error())
	}
	return out
}

func fits(p Problem, w expectedProblem) bool {
	file := ""
	if w.File != nil {
		file = *w.File
	}
	if p.File != file || p.Code != w.Class || w.Line != nil && p.Line != *w.Line || w.Col != nil && p.Col != *w.Col {
		return false
	}
	if w.Path != nil && !slices.Equal(p.Path, w.Path) {
		return false
	}
	said := p.Message + " " + p.Hint
	return !slices.ContainsFunc(w.Mention, func(m string) bool { return !strings.Contains(said, m) })
}
