package console

import (
	"fmt"
	"io"
	"strings"
	"time"

	"github.com/rivo/uniseg"

	"github.com/so8t/so8t/engine"
)

// Timeline writes when each attempt of a run ran and what it took. Up to now is what a running one
// has taken.
func Timeline(w io.Writer, style Style, v *engine.StatusView, columns int, now time.Time) {
	rows := [][]string{{"STAGE", "START", "TIME", "CPU", "PEAK", "READ", "WRITTEN"}}
	type span struct {
		outcome  string
		from, to time.Time
	}
	spans := []span{{}}
	from, to := time.Time{}, time.Time{}
	for _, s := range v.Stages {
		for _, a := range s.Attempts {
			x := span{a.Outcome, timeOf(a.Started), timeOf(a.Ended)}
			if x.to.IsZero() {
				x.to = now
			}
			if from.IsZero() || x.from.Before(from) {
				from = x.from
			}
			if x.to.After(to) {
				to = x.to
			}
			name := s.Instance
			if len(s.Attempts) > 1 {
				name += fmt.Sprintf(" #%d", a.Attempt)
			}
			rows = append(rows, []string{cutMiddle(name, nameMax), x.from.Local().Format("15:04:05"), Duration(x.to.Sub(x.from)),
				Duration(time.Duration(a.CPUSeconds * float64(time.Second))), amount(a.PeakRSS), amount(a.Read), amount(a.Written)})
			spans = append(spans, x)
		}
	}
	widths := make([]int, len(rows[0]))
	used := 0
	for i := range widths {
		for _, row := range rows {
			widths[i] = max(widths[i], uniseg.StringWidth(row[i]))
		}
		used += widths[i] + 2
	}
	chart := min(max(columns-used, 10), 80)
	for i, row := range rows {
		var b strings.Builder
		for c, text := range row {
			if c > 0 { // numbers stand right
				text = strings.Repeat(" ", widths[c]-uniseg.StringWidth(text)) + text
			}
			b.WriteString(pad(text, widths[c]) + "  ")
		}
		if i == 0 {
			fmt.Fprintln(w, style.paint(bold, strings.TrimRight(b.String(), " ")))
			continue
		}
		_, color := outcomeLook(spans[i].outcome)
		fmt.Fprintln(w, b.String()+style.paint(color, spanBar(spans[i].from.Sub(from), spans[i].to.Sub(from), to.Sub(from), chart)))
	}
}

func amount(n int64) string {
	if n == 0 {
		return ""
	}
	return Bytes(n)
}

// spanBar draws a part of the whole time; the shortest is still one cell.
func spanBar(from, to, whole time.Duration, width int) string {
	if whole <= 0 {
		whole = 1
	}
	start := min(int(float64(from)/float64(whole)*float64(width)), width-1)
	end := max(int(float64(to)/float64(whole)*float64(width)+0.5), start+1)
	return strings.Repeat(" ", start) + strings.Repeat("█", end-start)
}
