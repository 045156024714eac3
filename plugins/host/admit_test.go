package host

import (
	"bytes"
	"strings"
	"testing"
	"unicode/utf8"

	"github.com/so8t/so8t/plugins"
)

func TestAdmit_Bounds(t *testing.T) {
	var log bytes.Buffer
	p := newProcess(Command{Path: "x"}, Options{Log: &log})
	a := &plugins.Attempt{CheckpointDir: "/c"}
	var got []plugins.Event
	admit := func(times int, e plugins.Event) {
		got = nil
		for range times {
			if e := p.admit(a, e); e != nil {
				got = append(got, e)
			}
		}
	}
	admit(2*maxWarnings, plugins.Warning{Message: "again"})
	if last := got[len(got)-1].(plugins.Warning).Message; len(got) != maxWarnings+1 || !strings.Contains(last, "has warned 1000 times") {
		t.Errorf("%d warnings, the last %q", len(got), last)
	}
	if n := strings.Count(log.String(), "warning: again\n"); n != maxWarnings-1 {
		t.Errorf("%d in the log", n)
	}
	p.told = told{metrics: maxMetrics - 1}
	admit(5, plugins.Metric{Name: "m"})
	if len(got) != 2 || !strings.Contains(got[1].(plugins.Warning).Message, "the rest is dropped") {
		t.Errorf("of five metrics around the limit: %v", got)
	}
	log.Reset()
	long := strings.Repeat("長い", 1000)
	admit(1, plugins.LogLine{Message: long})
	if m := got[0].(plugins.LogLine).Message; len(m) > maxEventText+5 || !utf8.ValidString(m) || log.String() != long+"\n" {
		t.Errorf("a long line went on as %d bytes, into the log as %d", len(m), log.Len())
	}
	admit(1, plugins.Saved{Checkpoint: plugins.Checkpoint{Path: "/elsewhere/c"}})
	if _, ok := got[0].(plugins.Warning); !ok {
		t.Errorf("a checkpoint elsewhere: %v", got)
	}
}
