package console

import (
	"bytes"
	"encoding/xml"
	"flag"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/rivo/uniseg"

	"github.com/so8t/so8t/engine"
	"github.com/so8t/so8t/engine/workflow"
)

var update = flag.Bool("update", false, "rewrite the golden files")

func golden(t *testing.T, name, got string) {
	t.Helper()
	path := filepath.Join("testdata", name)
	if *update {
		if err := os.WriteFile(path, []byte(got), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	want, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	if got != string(want) {
		t.Errorf("%s differs; got:\n%s", path, got)
	}
}

var start = time.Date(2026, 1, 2, 3, 4, 5, 0, time.UTC)

func sampleEvents() []engine.Event {
	at := func(seconds float64) time.Time { return start.Add(time.Duration(seconds * float64(time.Second))) }
	return []engine.Event{
		{Time: at(0), Kind: engine.RunStarted, Run: "20260102-0304-ab", Stages: []string{"data", "train", "日本語の段", "report"}, Jobs: 2},
		{Time: at(0), Kind: engine.StageEnded, Instance: "data", Outcome: "cached", FromRun: "20260101-1", Reason: "same fingerprint"},
		{Time: at(1), Kind: engine.StageStarted, Instance: "train", Attempt: 1, Reason: "with.lora.r: 32 → 64"},
		{Time: at(2), Kind: engine.Progressed, Instance: "train", Attempt: 1, Done: 10, Total: 100, Unit: "step"},
		{Time: at(2), Kind: engine.Saved, Instance: "train", Attempt: 1, Step: 10},
		{Time: at(12), Kind: engine.Progressed, Instance: "train", Attempt: 1, Done: 60, Total: 100, Unit: "step", Message: "loss 0.52"},
		{Time: at(12), Kind: engine.Warned, Instance: "train", Attempt: 1, Message: "3 rows are long"},
		{Time: at(13), Kind: engine.StageEnded, Instance: "日本語の段", Attempt: 1, Outcome: "failed", Elapsed: time.Second,
			Error: &engine.Failure{Code: "bad_input", Message: "line 3 is no JSON"}},
	}
}

func TestPlain_OneLinePerEvent(t *testing.T) {
	var out bytes.Buffer
	p := NewPlain(&out, Style{})
	for _, e := range sampleEvents() {
		p.Listen(e)
	}
	var text []string
	for line := range strings.Lines(out.String()) {
		text = append(text, line[len("15:04:05 "):]) // the clock is the reader's zone
	}
	golden(t, "plain.txt", strings.Join(text, ""))
}

func TestTable_FitsTheTerminal(t *testing.T) {
	var b Board
	for _, e := range sampleEvents() {
		b.Apply(e)
	}
	golden(t, "table-100.txt", strings.Join(b.Table(Style{}, 100, 40, start.Add(13*time.Second)), "\n")+"\n")
	golden(t, "table-60.txt", strings.Join(b.Table(Style{}, 60, 40, start.Add(13*time.Second)), "\n")+"\n")
}

func TestTable_ManyStagesShowWhatMatters(t *testing.T) {
	var b Board
	names := make([]string, 200)
	for i := range names {
		names[i] = "s" + strings.Repeat("x", i%3) + string(rune('a'+i%26)) + string(rune('a'+i/26))
	}
	b.Apply(engine.Event{Time: start, Kind: engine.RunStarted, Run: "r", Stages: names})
	b.Apply(engine.Event{Time: start, Kind: engine.StageStarted, Instance: names[150], Attempt: 1})
	lines := b.Table(Style{}, 80, 12, start)
	if len(lines) > 12 {
		t.Fatalf("%d lines for a terminal of 12", len(lines))
	}
	if !strings.Contains(strings.Join(lines, "\n"), names[150]) {
		t.Errorf("the running stage is not shown:\n%s", strings.Join(lines, "\n"))
	}
}

func TestProblems_PointAtTheColumn(t *testing.T) {
	var out bytes.Buffer
	Problems(&out, Style{}, workflow.Problems{
		{File: "w.yaml", Line: 12, Col: 5, Code: "unknown-key", Message: `unknown key "lorra"`, Hint: `did you mean "lora"?`, Excerpt: "    lorra: { r: 8 }"},
		{File: "w.yaml", Line: 3, Col: 9, Code: "wrong-type", Message: "日本 is wrong", Excerpt: `  日本語: "あ" x`},
		{Code: "missing-param", Message: `parameter "base" is missing`},
		{File: "w.yaml", Line: 4, Col: 3, Code: "cycle", Message: "stages depend on each other", Path: []string{"a", "b", "a"}, Excerpt: "  a:"},
	})
	golden(t, "problems.txt", out.String())
}

func TestGraph(t *testing.T) {
	g := Graph{Name: "demo", Nodes: []GraphNode{
		{ID: "data", Stage: "data", Uses: "data"},
		{ID: "base", Stage: "base", Uses: "base", Needs: []string{"data"}},
		{ID: "train", Stage: "train", Uses: "train", Needs: []string{"data", "base"}},
		{ID: "bake", Stage: "bake", Uses: "bake", Needs: []string{"base", "train"}},
		{ID: "eval", Stage: "eval", Uses: "./eval.py", Needs: []string{"data", "bake"}, Outcome: "failed"},
		{ID: "alone", Stage: "alone", Uses: "noop"},
	}}
	var out bytes.Buffer
	ASCII(&out, Style{}, g)
	golden(t, "graph.txt", out.String())
	out.Reset()
	DOT(&out, g)
	golden(t, "graph.dot", out.String())
	out.Reset()
	Mermaid(&out, g)
	golden(t, "graph.mmd", out.String())
}

// sweep is a matrix of 20 that runs through three stages, with the outcomes of a run.
func sweep() Graph {
	g := Graph{Name: "sweep", Nodes: []GraphNode{{ID: "data", Stage: "data", Uses: "data", Outcome: "cached"}}}
	for _, stage := range []string{"train", "gguf", "eval"} {
		for i := range 20 {
			n := GraphNode{ID: fmt.Sprintf("%s[r=%d]", stage, 4+4*i), Stage: stage, Uses: stage, Outcome: "succeeded"}
			switch stage {
			case "train":
				n.Needs = []string{"data"}
			case "gguf":
				n.Needs = []string{fmt.Sprintf("train[r=%d]", 4+4*i)}
			case "eval":
				n.Needs = []string{fmt.Sprintf("gguf[r=%d]", 4+4*i), "data"}
			}
			if i == 7 && stage == "train" {
				n.Outcome = "failed"
			} else if i == 7 {
				n.Outcome = "blocked"
			}
			g.Nodes = append(g.Nodes, n)
		}
	}
	report := GraphNode{ID: "report", Stage: "report", Uses: "report", Outcome: "running"}
	for i := range 20 {
		report.Needs = append(report.Needs, fmt.Sprintf("eval[r=%d]", 4+4*i))
	}
	g.Nodes = append(g.Nodes, report)
	return g
}

func TestGraph_MatrixOf20(t *testing.T) {
	var out bytes.Buffer
	ASCII(&out, Style{}, sweep())
	golden(t, "sweep.txt", out.String())
	out.Reset()
	SVG(&out, sweep())
	var picture struct {
		XMLName xml.Name
		Groups  []struct {
			Rect struct {
				X, Y, Width, Height float64 `xml:",attr"`
			} `xml:"rect"`
		} `xml:"g"`
	}
	if err := xml.Unmarshal(out.Bytes(), &picture); err != nil || len(picture.Groups) != 62 {
		t.Fatalf("%d boxes, %v", len(picture.Groups), err)
	}
}

func TestGraph_NoBoxLiesOnAnother(t *testing.T) {
	l := layer(sweep(), svgBox+svgGap, svgBend)
	for _, column := range l.columns {
		for i := 1; i < len(column); i++ {
			above, below := l.points[column[i-1]], l.points[column[i]]
			if below.y-above.y < (above.height+below.height)/2-1e-6 {
				t.Errorf("%v and %v overlap", above, below)
			}
		}
	}
	for _, route := range l.routes {
		for i := 1; i < len(route); i++ {
			if l.points[route[i]].column != l.points[route[i-1]].column+1 {
				t.Errorf("an edge jumps a column: %v", route)
			}
		}
	}
}

func TestLive_ErasesWhatItDrew(t *testing.T) {
	var out bytes.Buffer
	l := NewLive(&out, Style{}, func() (int, int) { return 80, 24 })
	for _, e := range sampleEvents() {
		l.Listen(e)
	}
	l.Close()
	if !strings.Contains(out.String(), "warning: train: 3 rows are long\n") {
		t.Errorf("the warning does not stay above the table: %q", out.String())
	}
	if !strings.HasSuffix(out.String(), "\x1b[J") || !strings.Contains(out.String(), "train") {
		t.Errorf("the table is not the last thing on the screen")
	}
}

// TestLive_AfterCtrlZ: what the shell wrote meanwhile stays; what a stage goes on from is said.
func TestLive_AfterCtrlZ(t *testing.T) {
	var out bytes.Buffer
	l := NewLive(&out, Style{}, func() (int, int) { return 80, 24 })
	for _, e := range sampleEvents() {
		l.Listen(e)
	}
	l.Listen(engine.Event{Kind: engine.StageStarted, Instance: "train", Attempt: 2, ResumedFrom: &engine.ResumePoint{Run: "r", Attempt: 1, Step: 40}})
	l.Close()
	if !strings.Contains(out.String(), "train goes on from the checkpoint at step 40 of run r\n") {
		t.Errorf("it does not say what train goes on from")
	}
	before := out.Len()
	l.Again()
	if again := out.String()[before:]; strings.Contains(again, "A\r") || !strings.Contains(again, "train") {
		t.Errorf("it draws %q", again)
	}
}

func TestTable_InterruptedAndResumed(t *testing.T) {
	var b Board
	b.Apply(engine.Event{Time: start, Kind: engine.RunStarted, Run: "r", Stages: []string{"a", "b", "c"}})
	for _, name := range []string{"a", "b"} {
		b.Apply(engine.Event{Time: start, Kind: engine.StageStarted, Instance: name, Attempt: 2, ResumedFrom: &engine.ResumePoint{Run: "r", Attempt: 1, Step: 40}})
	}
	b.Apply(engine.Event{Time: start, Kind: engine.Saved, Instance: "b", Step: 60})
	b.Apply(engine.Event{Time: start, Kind: engine.StageStarted, Instance: "c", Attempt: 1})
	for _, name := range []string{"b", "c"} {
		b.Apply(engine.Event{Time: start, Kind: engine.StageEnded, Instance: name, Outcome: "interrupted", Elapsed: time.Second, Error: &engine.Failure{Code: "cancelled"}})
	}
	golden(t, "table-resumed.txt", strings.Join(b.Table(Style{}, 80, 40, start), "\n")+"\n")
}

func TestCutMiddle_KeepsBothEndsInTheWidth(t *testing.T) {
	for _, c := range []struct {
		text  string
		width int
		want  string
	}{
		{"short", 10, "short"},
		{"stage-with-a-long-name-12", 12, "stage-…me-12"},
		{"日本語の長い名前の段", 11, "日本語…の段"},
		{"abcdef", 2, "a…"},
		{"abcdef", 0, ""},
	} {
		if got := cutMiddle(c.text, c.width); got != c.want || uniseg.StringWidth(got) > c.width {
			t.Errorf("cutMiddle(%q, %d) = %q, want %q", c.text, c.width, got, c.want)
		}
	}
}

func TestPluginsWords_CannotMoveTheCursor(t *testing.T) {
	const hostile = "one\x1b[2J\rtwo\nthree"
	events := []engine.Event{
		{Kind: engine.RunStarted, Run: "r", Stages: []string{"a", "b"}},
		{Kind: engine.StageStarted, Instance: "a"},
		{Kind: engine.Progressed, Instance: "a", Done: 1, Total: 2, Unit: hostile, Message: hostile},
		{Kind: engine.Logged, Instance: "a", Message: hostile, Level: "error"},
		{Kind: engine.Warned, Instance: "a", Message: hostile},
		{Kind: engine.StageEnded, Instance: "b", Outcome: "failed", Error: &engine.Failure{Code: "internal", Message: hostile}},
	}
	var lines, live strings.Builder
	plain, board := NewPlain(&lines, Style{}), Board{}
	table := NewLive(&live, Style{}, func() (int, int) { return 200, 24 })
	for _, e := range events {
		plain.Listen(e)
		board.Apply(e)
		table.Listen(e)
	}
	table.Close()
	for name, text := range map[string]string{"plain": lines.String(), "live": live.String()} {
		if strings.Contains(text, "\x1b[2J") || !strings.Contains(text, "one[2Jtwo") {
			t.Errorf("%s: %q", name, text)
		}
	}
	for _, line := range board.Table(Style{}, 200, 24, time.Time{}) {
		if strings.ContainsAny(line, "\n\r\x1b") {
			t.Errorf("a row of several lines: %q", line)
		}
	}
}
