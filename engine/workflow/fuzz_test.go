package workflow

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"
)

// FuzzParse: no input makes the package panic, hang, or give neither a workflow nor problems, and
// every problem points into the file.
func FuzzParse(f *testing.F) {
	files, err := filepath.Glob(fixtures + "/*/*/workflow.yaml")
	if err != nil || len(files) == 0 {
		f.Fatalf("no fixtures: %v", err)
	}
	for _, file := range files {
		text, err := os.ReadFile(file)
		if err != nil {
			f.Fatal(err)
		}
		f.Add(text)
	}
	d := describeFixtures(f)
	f.Fuzz(func(t *testing.T, text []byte) {
		start := time.Now()
		w, err := Parse("workflow.yaml", text, Options{Describe: d.Describe, Plugins: d.Names()})
		checkSpent(t, start, len(text))
		problems, ok := err.(Problems)
		if (w == nil) == (err == nil) || err != nil && (!ok || len(problems) == 0) {
			t.Fatalf("workflow %v, error %v", w, err)
		}
		lines := strings.Count(string(text), "\n") + strings.Count(string(text), "\r") + 1
		for _, p := range problems {
			if p.Line < 0 || p.Line > lines || p.Col < 0 || p.Line > 0 && p.Col == 0 {
				t.Errorf("outside the file: %v", p)
			}
			if strings.Contains(p.Message, "gives up") {
				t.Logf("parser panic: %v on %q", p, text)
			}
		}
	})
}

// chain is a workflow of n stages, each reading the one before it.
func chain(n int) string {
	var b strings.Builder
	b.WriteString("version: 1\nstages:\n")
	for i := range n {
		fmt.Fprintf(&b, "  s%05d:\n    uses: noop\n    with:\n      steps: 3\n", i)
		if i > 0 {
			fmt.Fprintf(&b, "      inputs: [\"${stages.s%05d.outputs.out}\"]\n", i-1)
		}
	}
	return b.String()
}

func noop(string) (*PluginSpec, error) {
	return &PluginSpec{
		With: []byte(`{"type":"object","additionalProperties":false,"properties":{
			"steps":{"type":"integer","minimum":1},"inputs":{"type":"array","items":{"type":"string","format":"path"}}}}`),
		Outputs: []OutputSpec{{Name: "out"}},
	}, nil
}

func BenchmarkParse(b *testing.B) {
	for _, n := range []int{100, 1000, 10000} {
		text := []byte(chain(n))
		b.Run(fmt.Sprint(n), func(b *testing.B) {
			b.SetBytes(int64(len(text)))
			b.ReportAllocs()
			for b.Loop() {
				if _, err := Parse("workflow.yaml", text, Options{Describe: noop}); err != nil {
					b.Fatal(err)
				}
			}
		})
	}
}
