package console

import (
	"bytes"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/so8t/so8t/engine"
)

func at(seconds float64) string {
	return start.Add(time.Duration(seconds * float64(time.Second))).Format(time.RFC3339Nano)
}

func recorded() *engine.StatusView {
	usage := engine.Usage{CPUSeconds: 1.5, PeakRSS: 102_000_000, Read: 5_000, Written: 7_000_000}
	return &engine.StatusView{Run: "20260102-0304-ab", Workflow: "demo", State: "running", Started: at(0), Stages: []engine.StageView{
		{Stage: "data", Instance: "data", Outcome: "cached", Reason: "unchanged since run 1"},
		{Stage: "train", Instance: "train", Outcome: "running", Attempts: []engine.AttemptView{
			{Attempt: 1, Outcome: "failed", Started: at(0), Ended: at(4), Usage: usage},
			{Attempt: 2, Outcome: "running", Started: at(5), Usage: usage, Progress: &engine.ProgressView{Done: 20, Total: 100, Unit: "step", Message: "loss 0.5"}},
		}},
		{Stage: "again", Instance: "again", Outcome: "running", Attempts: []engine.AttemptView{
			{Attempt: 1, Outcome: "failed", Started: at(2), Ended: at(3), Error: &engine.Failure{Code: "crashed", Message: "exit status 1"}},
		}},
		{Stage: "bad", Instance: "bad", Outcome: "failed", Error: &engine.Failure{Code: "bad_input", Message: "no rows"}, Attempts: []engine.AttemptView{
			{Attempt: 1, Outcome: "failed", Started: at(1), Ended: at(3), Usage: usage},
		}},
		{Stage: "after", Instance: "after", Outcome: "blocked", Cause: "bad"},
		{Stage: "eval", Instance: "eval", Outcome: "pending"},
	}}
}

// TestRecorded_LooksLikeTheRun: a second look knows the rate and the time left.
func TestRecorded_LooksLikeTheRun(t *testing.T) {
	var b Board
	v := recorded()
	b.load(v, start.Add(10*time.Second))
	v.Stages[1].Attempts[1].Progress = &engine.ProgressView{Done: 30, Total: 100, Unit: "step", Message: "loss 0.4"}
	b.load(v, start.Add(12*time.Second))
	golden(t, "recorded.txt", strings.Join(b.Table(Style{}, 110, 40, start.Add(12*time.Second)), "\n")+"\n")
}

func TestTimeline(t *testing.T) {
	var out bytes.Buffer
	Timeline(&out, Style{}, recorded(), 100, start.Add(12*time.Second))
	var lines []string
	for line := range strings.Lines(out.String()) {
		lines = append(lines, line[:len("train #1")+2]+line[len("train #1  00:00:00"):]) // the clock is the reader's zone
	}
	golden(t, "timeline.txt", strings.Join(lines, ""))
}

// TestTable_LargeRun: of a run that goes on a few that wait and that ended are shown, of one that is
// over as many as fit.
func TestTable_LargeRun(t *testing.T) {
	var b Board
	var names []string
	for i := range 100 {
		names = append(names, fmt.Sprintf("s%02d", i))
	}
	b.Apply(engine.Event{Time: start, Kind: engine.RunStarted, Run: "r", Stages: names})
	for i := range 60 {
		e := engine.Event{Time: start.Add(time.Duration(i) * time.Second), Kind: engine.StageEnded, Instance: names[i], Outcome: "succeeded", Elapsed: time.Second}
		if i == 3 {
			e.Outcome, e.Error = "failed", &engine.Failure{Code: "internal", Message: "broke"}
		}
		b.Apply(e)
	}
	for i := 60; i < 63; i++ {
		b.Apply(engine.Event{Time: start, Kind: engine.StageStarted, Instance: names[i], Attempt: 1})
	}
	b.Apply(engine.Event{Time: start, Kind: engine.StageEnded, Instance: names[63], Outcome: "failed", Retry: time.Second, Error: &engine.Failure{Message: "busy"}})
	golden(t, "table-large.txt", strings.Join(b.Table(Style{}, 80, 40, start.Add(time.Minute)), "\n")+"\n")
	b.Apply(engine.Event{Time: start, Kind: engine.RunEnded, Outcome: "failed"})
	if lines := b.Table(Style{}, 80, 40, start); len(lines) != 40 {
		t.Errorf("%d lines of 40 when the run is over", len(lines))
	}
}

// TestLive_NarrowerTerminal: lines that the terminal has wrapped are erased whole.
func TestLive_NarrowerTerminal(t *testing.T) {
	l := &Live{drawn: []int{80, 60, 0, 12}}
	for columns, want := range map[int]int{80: 4, 60: 5, 40: 6, 20: 4 + 3 + 1 + 1} {
		if got := l.height(columns); got != want {
			t.Errorf("%d lines at %d columns, want %d", got, columns, want)
		}
	}
}
