package console

import (
	"fmt"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/so8t/so8t/engine"
)

// TestTable_KeepsUpWithEvents: what is kept between two drawings is what a new look finds, after any
// events and for any size of the screen.
func TestTable_KeepsUpWithEvents(t *testing.T) {
	r := rand.New(rand.NewPCG(1, 1))
	var names []string
	for i := range 40 {
		names = append(names, fmt.Sprintf("stage-%d", i))
	}
	at := time.Date(2026, 1, 2, 3, 4, 5, 0, time.UTC)
	var b Board
	b.Apply(engine.Event{Kind: engine.RunStarted, Run: "1", Time: at, Stages: names})
	for range 500 {
		at = at.Add(time.Second)
		e := engine.Event{Instance: names[r.IntN(len(names))], Time: at, Attempt: 1}
		switch r.IntN(4) {
		case 0:
			e.Kind = engine.StageStarted
		case 1:
			e.Kind, e.Outcome = engine.StageEnded, []string{"succeeded", "failed", "cached"}[r.IntN(3)]
		case 2:
			e.Kind, e.Done, e.Total, e.Unit = engine.Progressed, r.Int64N(10), 10, "step"
		case 3:
			e.Kind = engine.Warned
		}
		b.Apply(e)
		lines := 5 + r.IntN(40)
		got := b.Table(Style{}, 80, lines, at)
		b.seen = overview{}
		if want := b.Table(Style{}, 80, lines, at); !slices.Equal(got, want) {
			t.Fatalf("after %+v the table is\n%q\nand not\n%q", e, got, want)
		}
	}
}

// BenchmarkTable draws 10,000 stages, between events and after one.
func BenchmarkTable(bench *testing.B) {
	var names []string
	for i := range 10_000 {
		names = append(names, fmt.Sprintf("stage-%d", i))
	}
	at := time.Date(2026, 1, 2, 3, 4, 5, 0, time.UTC)
	var b Board
	b.Apply(engine.Event{Kind: engine.RunStarted, Run: "1", Time: at, Stages: names})
	for _, name := range names[:5000] {
		at = at.Add(time.Second)
		b.Apply(engine.Event{Kind: engine.StageEnded, Instance: name, Outcome: "succeeded", Time: at})
	}
	bench.Run("unchanged", func(bench *testing.B) {
		for bench.Loop() {
			b.Table(Style{}, 100, 40, at)
		}
	})
	bench.Run("changed", func(bench *testing.B) {
		for bench.Loop() {
			b.Apply(engine.Event{Kind: engine.StageStarted, Instance: names[5000], Time: at})
			b.Table(Style{}, 100, 40, at)
		}
	})
}

// TestDOT_NamesWithBackslashes: a label is not a place where a backslash stands for itself.
func TestDOT_NamesWithBackslashes(t *testing.T) {
	var out strings.Builder
	DOT(&out, Graph{Name: "g", Nodes: []GraphNode{{ID: `a[dir=C:\new "x"]`, Outcome: "failed"}}})
	if want := `label="a[dir=C:\\new \"x\"]\nfailed"`; !strings.Contains(out.String(), want) {
		t.Errorf("%s lacks %s", &out, want)
	}
}
