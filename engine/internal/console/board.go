package console

import (
	"fmt"
	"time"

	"github.com/rivo/uniseg"

	"github.com/so8t/so8t/engine"
)

// Board is the state of a run as the events so far tell it: one row per instance.
type Board struct {
	Run     string
	State   string // "" until the run has ended
	Started time.Time
	rows    []*row
	index   map[string]*row
	name    int // width of the longest name
	seen    overview
}

type row struct {
	name    string
	outcome string
	reason  string
	attempt int
	started time.Time
	elapsed time.Duration // set when ended
	done    int64
	total   int64
	unit    string
	message string
	ended   time.Time
	peak    int64 // most memory of the attempt's process, bytes; 0 = unknown
	from    int64 // the step of the checkpoint that the attempt went on from; 0 = none
	saved   int64 // the step of its newest checkpoint; 0 = none
	// first is the first progress of the attempt, from which the rate is taken.
	first     int64
	firstTime time.Time
	lastTime  time.Time
}

// waiting is how a stage is shown whose next attempt is still to come.
const waiting = "waiting"

// Apply takes one event in.
func (b *Board) Apply(e engine.Event) {
	switch e.Kind {
	case engine.RunStarted, engine.RunEnded, engine.StageStarted, engine.StageEnded:
		b.seen = overview{} // what is shown of it changes
	}
	if e.Kind == engine.RunStarted {
		b.start(e)
		return
	}
	if e.Kind == engine.RunEnded {
		b.State = e.Outcome
		return
	}
	r := b.index[e.Instance]
	if r == nil {
		return
	}
	switch e.Kind {
	case engine.StageStarted:
		*r = row{name: r.name, outcome: "running", reason: oneLine(e.Reason), attempt: e.Attempt, started: e.Time}
		if e.ResumedFrom != nil {
			r.from = e.ResumedFrom.Step
		}
	case engine.Progressed:
		r.progress(e)
	case engine.Saved:
		r.saved = e.Step
	case engine.StageEnded:
		r.outcome, r.elapsed, r.ended = e.Outcome, e.Elapsed, e.Time
		r.reason = oneLine(e.Reason)
		r.usage(e.Usage)
		switch {
		case e.Retry > 0:
			r.outcome = waiting
			r.reason = fmt.Sprintf("tries again in %s: %s", Duration(e.Retry), oneLine(e.Error.Message))
		case e.Outcome == "interrupted":
			r.reason = r.savedText()
		case e.Error != nil:
			r.reason = oneLine(e.Error.Message)
		case e.Cause != "":
			r.reason = "because of " + e.Cause
		}
	}
}

func (b *Board) start(e engine.Event) {
	b.Run, b.Started = e.Run, e.Time
	b.clear(len(e.Stages))
	for _, name := range e.Stages {
		b.add(&row{name: name, outcome: "pending"})
	}
}

func (b *Board) clear(size int) {
	b.index = make(map[string]*row, size)
	b.rows, b.name = nil, 0
}

func (b *Board) add(r *row) {
	b.rows = append(b.rows, r)
	b.index[r.name] = r
	b.name = max(b.name, uniseg.StringWidth(r.name))
}

// savedText says where an interrupted attempt would be gone on from.
func (r *row) savedText() string {
	if step := max(r.saved, r.from); step > 0 {
		return fmt.Sprintf("checkpoint at step %d", step)
	}
	return "no checkpoint"
}

func (r *row) progress(e engine.Event) {
	// A new unit is a new phase of the attempt: its rate starts anew.
	if r.firstTime.IsZero() || oneLine(e.Unit) != r.unit || e.Done < r.done {
		r.first, r.firstTime = e.Done, e.Time
	}
	r.done, r.total, r.unit, r.message, r.lastTime = e.Done, e.Total, oneLine(e.Unit), oneLine(e.Message), e.Time
	r.usage(e.Usage)
}

func (r *row) usage(u *engine.Usage) {
	if u != nil && u.PeakRSS > 0 {
		r.peak = u.PeakRSS
	}
}

// rate is units per second since the first progress; 0 while unknown.
func (r *row) rate() float64 {
	seconds := r.lastTime.Sub(r.firstTime).Seconds()
	if seconds <= 0 || r.done <= r.first {
		return 0
	}
	return float64(r.done-r.first) / seconds
}

// eta is the time left at the present rate; negative while unknown.
func (r *row) eta() time.Duration {
	rate := r.rate()
	if rate == 0 || r.done >= r.total {
		return -1
	}
	return time.Duration(float64(r.total-r.done) / rate * float64(time.Second))
}
