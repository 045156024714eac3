package report

import (
	"encoding/json"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/so8t/so8t/plugins"
)

// The times of the stages are on a page of their own; the report has the same bytes whatever they are.
func TestRun_TimelineIsVolatileAndApart(t *testing.T) {
	raw, err := json.Marshal(whole)
	if err != nil {
		t.Fatal(err)
	}
	start := time.Date(2026, 1, 2, 3, 4, 5, 0, time.UTC)
	spans := []plugins.Span{
		{Instance: "data", Outcome: "cached", Attempt: 1, Run: "20260101-000000-aaaaa", Started: start.Add(-time.Hour), Ended: start.Add(-time.Hour + time.Second)},
		{Instance: "train<1>", Outcome: "failed", Attempt: 1, Started: start, Ended: start.Add(30 * time.Second), CPU: 41500 * time.Millisecond,
			PeakRSS: 123456789, Read: 2048, Written: 4_500_000},
		{Instance: "train<1>", Outcome: "succeeded", Attempt: 2, Started: start.Add(30 * time.Second), Ended: start.Add(2 * time.Minute)},
		{Instance: "ollama", Outcome: "skipped"},
	}
	var reports []string
	for _, timeline := range [][]plugins.Span{spans, nil} {
		out := t.TempDir()
		if _, err := (Stage{}).Run(t.Context(), &plugins.Attempt{With: raw, OutputDir: out, Timeline: timeline}); err != nil {
			t.Fatal(err)
		}
		var all string
		for _, o := range (Stage{}).Describe().Outputs {
			text, err := os.ReadFile(filepath.Join(out, o.Path))
			if err != nil {
				t.Fatal(err)
			}
			if !o.Volatile {
				all += string(text)
			} else if timeline != nil {
				checkTimeline(t, string(text))
			}
		}
		reports = append(reports, all)
	}
	if reports[0] != reports[1] {
		t.Error("the timeline changes the report")
	}
	if !strings.Contains(reports[0], timelineFile) {
		t.Error("the report does not say where the timeline is")
	}
}

func checkTimeline(t *testing.T, page string) {
	t.Helper()
	for _, want := range []string{
		"train&lt;1&gt;", "2026-01-02 03:04:05", "2026-01-02 03:04:35", "30.0 s", "41.5 s", "123 MB", "2.05 kB", "4.5 MB",
		`<div class="bar failed" style="margin-left:0.0%;width:25.0%">`, `style="margin-left:25.0%;width:75.0%"`,
		"cached, made in run 20260101-000000-aaaaa", "skipped",
	} {
		if !strings.Contains(page, want) {
			t.Errorf("the timeline lacks %q\n%s", want, page)
		}
	}
	if strings.Count(page, `class="bar`) != 2 {
		t.Error("what another run has made, or nobody, has a bar")
	}
}
