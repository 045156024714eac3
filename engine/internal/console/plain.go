package console

import (
	"fmt"
	"io"
	"strings"
	"time"

	"github.com/so8t/so8t/engine"
)

// progressEvery is how often plain output repeats the progress of one stage.
const progressEvery = 5 * time.Second

// Plain writes one line per event, for pipes, files and terminals that cannot move the cursor.
// Metrics are left out (`so8t metrics` has them) and progress is thinned.
type Plain struct {
	out      io.Writer
	style    Style
	board    Board
	width    int
	lastTold map[string]time.Time
}

// NewPlain returns a listener's owner; its Listen is the listener.
func NewPlain(out io.Writer, style Style) *Plain {
	return &Plain{out: out, style: style, lastTold: map[string]time.Time{}}
}

// Listen writes the line of one event, when it has one.
func (p *Plain) Listen(e engine.Event) {
	p.board.Apply(e)
	if e.Kind == engine.RunStarted {
		for _, name := range e.Stages {
			p.width = min(max(p.width, len(name)), 32)
		}
	}
	text := p.text(e)
	if text == "" {
		return
	}
	name := e.Instance
	if name == "" {
		name = "run"
	}
	fmt.Fprintf(p.out, "%s %s %s\n", p.style.paint(grey, e.Time.Local().Format("15:04:05")), pad(name, p.width), text)
}

func (p *Plain) text(e engine.Event) string {
	switch e.Kind {
	case engine.RunStarted:
		return fmt.Sprintf("%s started, %d stages, %d at a time", e.Run, len(e.Stages), e.Jobs)
	case engine.StageStarted:
		return p.started(e)
	case engine.Progressed:
		return p.progress(e)
	case engine.Logged:
		return p.style.paint(grey, "| ") + strings.TrimRight(PlainText(e.Message), "\n")
	case engine.Warned:
		return p.style.paint(yellow, "warning: ") + PlainText(e.Message)
	case engine.Saved:
		return fmt.Sprintf("checkpoint at step %d", e.Step)
	case engine.StageEnded:
		return EndText(e, p.style)
	}
	return "" // how a run ended is said by who started it
}

func (p *Plain) started(e engine.Event) string {
	text := "started"
	if e.Attempt > 1 {
		text = fmt.Sprintf("started, attempt %d", e.Attempt)
	}
	if from := e.ResumedFrom; from != nil {
		text += fmt.Sprintf(", from the checkpoint at step %d of run %s", from.Step, from.Run)
	}
	if e.Reason != "" {
		text += ": " + e.Reason
	}
	return text
}

func (p *Plain) progress(e engine.Event) string {
	last := p.lastTold[e.Instance]
	if last.IsZero() {
		p.lastTold[e.Instance] = e.Time // the first step says nothing yet
		return ""
	}
	if e.Time.Sub(last) < progressEvery {
		return ""
	}
	p.lastTold[e.Instance] = e.Time
	return progressText(p.board.index[e.Instance])
}

// progressText is "120/750 step, 8.1/s, 1m17s left".
func progressText(r *row) string {
	if r == nil {
		return ""
	}
	parts := []string{amountText(r)}
	if rate := r.rate(); rate > 0 {
		parts = append(parts, rateText(rate))
	}
	if eta := r.eta(); eta >= 0 {
		parts = append(parts, Duration(eta)+" left")
	}
	if r.message != "" {
		parts = append(parts, r.message)
	}
	return strings.Join(parts, ", ")
}

func amountText(r *row) string {
	if r.unit == "bytes" {
		if r.total > 0 {
			return Bytes(r.done) + " of " + Bytes(r.total)
		}
		return Bytes(r.done)
	}
	if r.total > 0 {
		return fmt.Sprintf("%d/%d %s", r.done, r.total, r.unit)
	}
	return fmt.Sprintf("%d %s", r.done, r.unit)
}

func rateText(rate float64) string {
	if rate >= 100 {
		return fmt.Sprintf("%.0f/s", rate)
	}
	return fmt.Sprintf("%.1f/s", rate)
}

// EndText says how a stage ended, and why when it was not by running through.
func EndText(e engine.Event, style Style) string {
	_, color := outcomeLook(e.Outcome)
	text := style.paint(color, e.Outcome)
	switch e.Outcome {
	case "succeeded":
		if e.Attempt == 0 { // told when the run goes on: it was done before that
			return text + " before this, in " + Duration(e.Elapsed)
		}
		return text + " in " + Duration(e.Elapsed)
	case "cached":
		return text + because(PlainText(e.Reason))
	case "blocked":
		return text + " because of " + e.Cause
	case "skipped":
		return text + because(PlainText(e.Reason))
	}
	if e.Error != nil {
		text += fmt.Sprintf(" (%s): %s", e.Error.Code, PlainText(e.Error.Message))
	}
	if e.Retry > 0 {
		text += "; trying again in " + Duration(e.Retry)
	}
	return text
}

func because(reason string) string {
	if reason == "" {
		return ""
	}
	return ": " + reason
}
