package console

import (
	"fmt"
	"time"

	"github.com/so8t/so8t/engine"
)

// Show makes the table that of a recorded run, as a later look finds it.
func (l *Live) Show(v *engine.StatusView, now time.Time) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.board.load(v, now)
}

// load takes in a recorded run. Rates come from the difference to the last look.
func (b *Board) load(v *engine.StatusView, now time.Time) {
	b.Run, b.Started, b.State = v.Run, timeOf(v.Started), v.State
	if v.State == "running" {
		b.State = ""
	}
	known := b.index
	b.seen = overview{}
	b.clear(len(v.Stages))
	for _, s := range v.Stages {
		r := known[s.Instance]
		if r == nil {
			r = &row{name: s.Instance}
		}
		b.add(r)
		r.load(s, now)
	}
}

func (r *row) load(s engine.StageView, now time.Time) {
	r.outcome, r.reason = s.Outcome, oneLine(s.Reason)
	switch {
	case s.Error != nil && s.Outcome != "interrupted":
		r.reason = oneLine(s.Error.Message)
	case s.Cause != "":
		r.reason = "because of " + s.Cause
	}
	if len(s.Attempts) == 0 {
		return
	}
	a := s.Attempts[len(s.Attempts)-1]
	if a.Attempt != r.attempt {
		*r = row{name: r.name, outcome: r.outcome, reason: r.reason, attempt: a.Attempt}
	}
	r.started, r.ended = timeOf(a.Started), timeOf(a.Ended)
	if !r.ended.IsZero() {
		r.elapsed = r.ended.Sub(r.started)
	}
	if a.ResumedFrom != nil {
		r.from = a.ResumedFrom.Step
	}
	if a.Checkpoint != nil {
		r.saved = a.Checkpoint.Step
	}
	r.usage(&a.Usage)
	switch {
	case s.Outcome == "interrupted":
		r.reason = r.savedText()
	case s.Outcome == "running" && !r.ended.IsZero():
		r.outcome = waiting
		if a.Error != nil {
			r.reason = fmt.Sprintf("tries again: %s", oneLine(a.Error.Message))
		}
	}
	if p := a.Progress; p != nil && (p.Done != r.done || r.firstTime.IsZero()) {
		r.progress(engine.Event{Time: now, Done: p.Done, Total: p.Total, Unit: p.Unit, Message: p.Message})
	}
}

// timeOf reads a time of the JSON views; the zero time when there is none.
func timeOf(text string) time.Time {
	t, err := time.Parse(time.RFC3339Nano, text)
	if err != nil {
		return time.Time{}
	}
	return t
}
