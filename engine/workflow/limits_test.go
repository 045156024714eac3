package workflow

import (
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"runtime"
	"slices"
	"strings"
	"testing"
	"time"
)

// laughs is a list of lists of lists, a billion texts in all, by aliases.
func laughs() string {
	var b strings.Builder
	b.WriteString("version: 1\nx-0: &a0 [x,x,x,x,x,x,x,x,x,x]\n")
	for i := range 9 {
		fmt.Fprintf(&b, "x-%d: &a%d [%s]\n", i+1, i+1, strings.TrimSuffix(strings.Repeat(fmt.Sprintf("*a%d,", i), 10), ","))
	}
	return b.String() + "stages: {a: {uses: x}}\n"
}

// What a short text multiplies is refused as well.
func TestLimitsOfWorkflow(t *testing.T) {
	heavy := strings.Repeat("(b{1000})", 28)
	var matrices, patterns, matches, expressions, gates, with strings.Builder
	axis := "[1,2,3,4,5,6,7,8,9,10,11,12,13,14,15,16]"
	for i := range 100 {
		fmt.Fprintf(&matrices, "  s%d: {uses: x, matrix: {a: %s, b: %s}}\n", i, axis, axis)
		fmt.Fprintf(&patterns, "  p%d: {type: string, default: b, pattern: '%s'}\n", i, heavy)
		fmt.Fprintf(&matches, "  s%d: {uses: x, gates: ['string(a) matches \"%s\"']}\n", i, heavy)
		fmt.Fprintf(&expressions, "  s%d: {uses: x, gates: ['%s']}\n", i, strings.TrimSuffix(strings.Repeat("a>1&&", 800), "&&"))
		fmt.Fprintf(&gates, "  s%d:\n    uses: x\n    gates:\n%s", i, strings.Repeat("    - a > 1\n", 210))
		fmt.Fprintf(&with, "  s%d: {uses: x, matrix: {a: %s, b: [1,2,3]}, with: {a: [%s1]}}\n", i, axis, strings.Repeat("1,", 300))
	}
	for name, c := range map[string]string{
		"instances":      "stages:\n" + matrices.String(),
		"patterns":       "params:\n" + patterns.String() + "stages: {a: {uses: x}}\n",
		"patterns, used": "stages:\n" + matches.String(),
		"expressions":    "stages:\n" + expressions.String(),
		"gates":          "stages:\n" + gates.String(),
		"values":         "stages:\n" + with.String(),
		"long text":      "params: {p: {type: string, default: " + strings.Repeat("b", 500_000) + ", pattern: '" + heavy + "'}}\nstages: {a: {uses: x}}\n",
		"long operand":   "params: {p: " + strings.Repeat("b", 500_000) + "}\nstages: {a: {uses: x, when: params.p == 'x'}}\n",
	} {
		t.Run(name, func(t *testing.T) {
			var before, after runtime.MemStats
			runtime.ReadMemStats(&before)
			_, err := Parse("w.yaml", []byte("version: 1\n"+c), Options{})
			runtime.ReadMemStats(&after)
			problems, _ := err.(Problems)
			if !slices.ContainsFunc(problems, func(p Problem) bool { return p.Code == CodeTooLarge }) {
				t.Errorf("%.300v", err)
			}
			// All that is allocated, of which the collector leaves less at any time.
			if mib := (after.TotalAlloc - before.TotalAlloc) >> 20; mib > 300 {
				t.Errorf("allocated %d MiB", mib)
			}
		})
	}
}

// What would exhaust the parser is refused in little time and memory.
func TestLimits(t *testing.T) {
	var wide strings.Builder
	wide.WriteString("version: 1\nx-a:\n")
	for i := range maxEntries + 1 {
		fmt.Fprintf(&wide, " k%d: 1\n", i)
	}
	flow := "x: {" + strings.Repeat("a, ", maxEntries+1) + "b}\n"
	deepBlock := &strings.Builder{}
	for i := range 5000 {
		deepBlock.WriteString(strings.Repeat(" ", min(i, 150)) + "a:\n")
	}
	deepMaps := &strings.Builder{}
	for i := range 101 {
		deepMaps.WriteString(strings.Repeat(" ", i) + "a:\n")
	}
	for name, c := range map[string]struct{ text, code string }{
		"brackets":      {"a: " + strings.Repeat("[", 100_000), CodeTooDeep},
		"braces":        {strings.Repeat("{a: ", 100_000), CodeTooDeep},
		"dashes":        {strings.Repeat("- ", 100_000) + "x", CodeTooDeep},
		"101 mappings":  {deepMaps.String(), CodeTooDeep},
		"wide mapping":  {wide.String(), CodeTooLarge},
		"wide flow":     {flow, CodeTooLarge},
		"wide list":     {"x-a: [" + strings.Repeat("a, ", maxEntries+1) + "b]\n", CodeTooLarge},
		"nested lists":  {"x-a: [" + strings.Repeat("["+strings.Repeat("a, ", 100)+"], ", 400) + "]\n", CodeTooLarge},
		"large":         {"version: 1\n" + strings.Repeat("# comment\n", maxBytes/10), CodeTooLarge},
		"100,000 deep":  {"a:\n" + strings.Repeat(" ", 100) + strings.Repeat("- ", 100_000), CodeTooDeep},
		"10 MB":         {"version: 1\nx-a: '" + strings.Repeat("a ", 5_000_000) + "'\n", CodeTooLarge},
		"laughs":        {laughs(), CodeAliasBomb},
		"UTF-16 no BOM": {"v\x00e\x00r\x00", CodeEncoding},
		"control":       {"name: a\x01b\n", CodeYAMLSyntax},
	} {
		t.Run(name, func(t *testing.T) {
			var before, after runtime.MemStats
			runtime.ReadMemStats(&before)
			start := time.Now()
			_, err := Parse("w.yaml", []byte(c.text), Options{})
			took := time.Since(start)
			runtime.ReadMemStats(&after)
			problems, _ := err.(Problems)
			if len(problems) != 1 || problems[0].Code != c.code {
				t.Errorf("%v", err)
			}
			if took > time.Minute { // it takes milliseconds; the parser would take many minutes or all memory
				t.Errorf("took %v", took)
			}
			if mib := (after.TotalAlloc - before.TotalAlloc) >> 20; mib > 64 {
				t.Errorf("allocated %d MiB", mib)
			}
		})
	}
}

func TestDepthOf100Passes(t *testing.T) {
	text := "version: 1\nx-deep: " + strings.Repeat("[", 99) + strings.Repeat("]", 99) + "\nstages: {a: {uses: x}}\n"
	if _, err := Parse("w.yaml", []byte(text), Options{}); err != nil {
		t.Error(err)
	}
	text = strings.Replace(text, "x-deep: [", "x-deep: [[", 1)
	text = strings.Replace(text, "]\n", "]]\n", 1)
	if _, err := Parse("w.yaml", []byte(text), Options{}); err == nil {
		t.Error("101 levels pass")
	}
}

func TestPublishStaysInside(t *testing.T) {
	for _, to := range []string{"/etc/x", "../x", "a/../../x", `C:\x`, "c:/x", "."} {
		text := fmt.Sprintf("version: 1\nstages: {a: {uses: x, publish: {o: '%s'}}}\n", to)
		_, err := Parse("w.yaml", []byte(text), Options{})
		problems, _ := err.(Problems)
		if len(problems) != 1 || problems[0].Code != CodeIncludeOutside {
			t.Errorf("%s: %v", to, err)
		}
	}
}

// A symbolic link does not lead an include out of the project.
func TestIncludeThroughLink(t *testing.T) {
	dir, outside := t.TempDir(), t.TempDir()
	write := func(path, text string) {
		t.Helper()
		if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	write(filepath.Join(outside, "o.yaml"), "version: 1\nstages: {b: {uses: x}}\n")
	write(filepath.Join(dir, "w.yaml"), "version: 1\ninclude: link/o.yaml\nstages: {a: {uses: x}}\n")
	if err := os.Symlink(outside, filepath.Join(dir, "link")); err != nil {
		t.Skipf("no symbolic links here: %v", err)
	}
	_, err := Load(filepath.Join(dir, "w.yaml"), Options{Root: dir})
	problems, _ := err.(Problems)
	if len(problems) != 1 || problems[0].Code != CodeIncludeOutside || problems[0].Line != 2 {
		t.Errorf("%v", err)
	}
}

// A part that cannot be read makes no further problem of the names it would have.
func TestBrokenIncludeDoesNotEcho(t *testing.T) {
	dir := t.TempDir()
	for name, text := range map[string]string{
		"w.yaml":   "version: 1\ninclude: [bad.yaml, none.yaml]\nstages: {a: {uses: x, needs: [b], with: {p: \"${params.q}\"}}}\n",
		"bad.yaml": "version: 1\nstages: {b: {uses: [}}\n",
	} {
		if err := os.WriteFile(filepath.Join(dir, name), []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	_, err := Load(filepath.Join(dir, "w.yaml"), Options{Root: dir})
	problems, _ := err.(Problems)
	if len(problems) != 2 || problems[0].File != "bad.yaml" || problems[1].Code != CodeIncludeMissing {
		t.Errorf("%v", err)
	}
}

func TestJSONSchema(t *testing.T) {
	text, err := JSONSchema(map[string]json.RawMessage{"demo": json.RawMessage(demoSchema)})
	if err != nil {
		t.Fatal(err)
	}
	again, _ := JSONSchema(map[string]json.RawMessage{"demo": json.RawMessage(demoSchema)})
	if string(text) != string(again) {
		t.Error("not deterministic")
	}
	var root map[string]any
	if err := json.Unmarshal(text, &root); err != nil {
		t.Fatal(err)
	}
	top := root["properties"].(map[string]any)
	stage := top["stages"].(map[string]any)["additionalProperties"].(map[string]any)["properties"].(map[string]any)
	for _, k := range topKeys {
		if _, ok := top[k.name]; !ok {
			t.Errorf("key %s: not in the schema", k.name)
		}
	}
	for _, k := range stageKeys {
		if _, ok := stage[k.name]; !ok {
			t.Errorf("stage key %s: not in the schema", k.name)
		}
	}
	if !strings.Contains(string(text), `"demo"`) || !strings.Contains(string(text), `"default": 64`) {
		t.Error("the schema of a stage is not in it")
	}
}

func TestDescriptionsRoundTrip(t *testing.T) {
	spec := &PluginSpec{
		With:           json.RawMessage(`{"type":"object"}`),
		Outputs:        []OutputSpec{{Name: "a", MediaType: "text/plain"}, {Name: "b", Optional: true, Volatile: true}},
		Metrics:        []string{"loss"},
		ReportsMetrics: true,
	}
	text, err := EncodeDescriptions(map[string]*PluginSpec{"x": spec, "y": {}})
	if err != nil {
		t.Fatal(err)
	}
	path := filepath.Join(t.TempDir(), "describe.json")
	if err := os.WriteFile(path, text, 0o600); err != nil {
		t.Fatal(err)
	}
	d, err := DescribeFile(path)
	if err != nil {
		t.Fatal(err)
	}
	got, err := d.Describe("x")
	if err != nil || fmt.Sprint(got.Outputs, got.Metrics, got.ReportsMetrics) != fmt.Sprint(spec.Outputs, spec.Metrics, true) {
		t.Errorf("%+v %v", got, err)
	}
	if y, err := d.Describe("y"); err != nil || y.ReportsMetrics {
		t.Errorf("%+v %v", y, err)
	}
	if _, err := d.Describe("z"); err != ErrUnknownPlugin {
		t.Error(err)
	}
}

// The search for near names, quadratic when every name of a large file is wrong, is bounded.
func TestManyUnknownNames(t *testing.T) {
	var b strings.Builder
	b.WriteString("version: 1\nstages:\n")
	for i := range 2000 {
		fmt.Fprintf(&b, "  stage%05d: {uses: x, needs: [unknown%05d]}\n", i, i)
	}
	_, err := Parse("w.yaml", []byte(b.String()), Options{})
	problems, _ := err.(Problems)
	hints := 0
	for _, p := range problems {
		if p.Hint != "" {
			hints++
		}
	}
	if len(problems) != 2000 || hints != maxSuggestions {
		t.Errorf("%d problems, %d hints", len(problems), hints)
	}
}

// A large with is not multiplied by the matrix without bound.
func TestLargeWithTimesMatrix(t *testing.T) {
	axis := ""
	for i := range 200 {
		axis += fmt.Sprintf("%d, ", i)
	}
	list := strings.Repeat("x, ", 11_000)
	text := "version: 1\nstages:\n  a:\n    uses: x\n    matrix: {n: [" + axis + "]}\n    with: {l: [" + list + "]}\n"
	_, err := Parse("w.yaml", []byte(text), Options{})
	if problems, _ := err.(Problems); len(problems) != 1 || problems[0].Code != CodeTooLarge || problems[0].Line != 6 {
		t.Errorf("%.300v", err)
	}
}

// A stage whose name is refused makes no second problem where it is named.
func TestRefusedStageDoesNotEcho(t *testing.T) {
	_, err := Parse("w.yaml", []byte("version: 1\nstages:\n  a: {uses: x, needs: [2nd, A]}\n  2nd: {uses: x}\n  A: {uses: x}\n"), Options{})
	if problems, _ := err.(Problems); len(problems) != 2 || problems[0].Code != CodeBadName || problems[1].Code != CodeDuplicateStage {
		t.Errorf("%v", err)
	}
}

// TestLimitsAreShared: files that are included have, together with the main one, what one may have.
func TestLimitsAreShared(t *testing.T) {
	half := strings.Repeat("#", maxBytes*2/5)
	values := "x-a: [" + strings.Repeat("1,", maxPiece/2) + "1]\n"
	for name, c := range map[string]struct {
		part string
		most int // so many of them may be included
	}{
		"bytes":  {half + "\n", 2},
		"values": {values, maxValues/(maxPiece/2) - 1},
	} {
		t.Run(name, func(t *testing.T) {
			for _, n := range []int{c.most - 1, c.most + 1} {
				dir := t.TempDir()
				var main strings.Builder
				main.WriteString("version: 1\nname: w\ninclude:\n")
				for i := range n {
					file := fmt.Sprintf("part%d.yaml", i)
					fmt.Fprintf(&main, "  - %s\n", file)
					part := fmt.Sprintf("stages: { p%d: { uses: x } }\n", i) + c.part
					if err := os.WriteFile(filepath.Join(dir, file), []byte(part), 0o644); err != nil {
						t.Fatal(err)
					}
				}
				main.WriteString("stages: { a: { uses: x } }\n")
				file := filepath.Join(dir, "w.yaml")
				if err := os.WriteFile(file, []byte(main.String()), 0o644); err != nil {
					t.Fatal(err)
				}
				_, err := Load(file, Options{Root: dir})
				problems, _ := err.(Problems)
				large := slices.ContainsFunc(problems, func(p Problem) bool { return p.Code == CodeTooLarge })
				if large != (n > c.most) {
					t.Errorf("%d files of %d bytes: %.300v", n, len(c.part), err)
				}
			}
		})
	}
}
