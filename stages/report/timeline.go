package report

import (
	"fmt"
	"html"
	"strings"
	"time"

	"github.com/so8t/so8t/plugins"
)

// timelineFile is the page beside the report that says when the stages ran. It holds times and so is
// a volatile output of its own: the report itself is the same for the same work.
const timelineFile = "timeline.html"

const timelineStyle = `.bar{height:.8rem;min-width:2px;background:#0072b2}.bar.failed{background:#b3261e}td.n{text-align:right;border-bottom:1px solid #eee;cursor:default}td:last-child{width:16rem}
`

// addTimeline says where it is.
func addTimeline(d *document, _ Config) error {
	d.add("When it ran", paragraph(text("Start, end, CPU time, memory and bytes of each stage are on a page beside this one, %s, the output timeline of this stage; "+
		"so8t status --timeline shows them, too.", timelineFile)))
	return nil
}

// timelinePage draws the attempts in their order. Those of other runs, whose outputs are reused, have
// figures and no bar.
func timelinePage(title string, spans []plugins.Span) string {
	var b strings.Builder
	fmt.Fprintf(&b, "<!doctype html>\n<html lang=\"en\"><head><meta charset=\"utf-8\"><meta name=\"viewport\" content=\"width=device-width\"><title>%[1]s: timeline</title><style>%[2]s%[3]s</style></head><body>\n<h1>%[1]s: timeline</h1>\n",
		html.EscapeString(title), style, timelineStyle)
	if len(spans) == 0 {
		b.WriteString("<p>No stage ran before the report.</p>\n</body></html>\n")
		return b.String()
	}
	b.WriteString("<p>Times are UTC. CPU time and bytes are those of a stage with the processes that it started; peak memory is that of the largest of them.</p>\n<table><thead><tr>")
	for _, h := range []string{"Stage", "Attempt", "Outcome", "Start", "End", "Time", "CPU time", "Peak memory", "Read", "Written", ""} {
		fmt.Fprintf(&b, "<th>%s</th>", h)
	}
	b.WriteString("</tr></thead><tbody>\n")
	from, to := extent(spans)
	for _, s := range spans {
		writeSpan(&b, s, from, to)
	}
	b.WriteString("</tbody></table>\n</body></html>\n")
	return b.String()
}

// extent is from the first start to the last end of this run's attempts.
func extent(spans []plugins.Span) (from, to time.Time) {
	for _, s := range spans {
		if s.Run != "" || s.Started.IsZero() || s.Ended.IsZero() {
			continue
		}
		if from.IsZero() || s.Started.Before(from) {
			from = s.Started
		}
		if s.Ended.After(to) {
			to = s.Ended
		}
	}
	return from, to
}

func writeSpan(b *strings.Builder, s plugins.Span, from, to time.Time) {
	outcome, attempt := s.Outcome, ""
	if s.Run != "" {
		outcome += ", made in run " + s.Run
	}
	if s.Attempt > 0 {
		attempt = fmt.Sprint(s.Attempt)
	}
	fmt.Fprintf(b, "<tr><td>%s</td><td>%s</td><td>%s</td>", html.EscapeString(s.Instance), attempt, html.EscapeString(outcome))
	took := s.Ended.Sub(s.Started)
	bar := ""
	switch {
	case s.Started.IsZero() || s.Ended.IsZero():
		b.WriteString(strings.Repeat("<td></td>", 7))
	default:
		for _, t := range []string{s.Started.UTC().Format("2006-01-02 15:04:05"), s.Ended.UTC().Format("2006-01-02 15:04:05"), seconds(took),
			seconds(s.CPU), size(s.PeakRSS), size(s.Read), size(s.Written)} {
			fmt.Fprintf(b, `<td class="n">%s</td>`, t)
		}
		if s.Run == "" {
			bar = spanBar(s, from, to)
		}
	}
	fmt.Fprintf(b, "<td>%s</td></tr>\n", bar)
}

// spanBar is where an attempt lies in the whole time.
func spanBar(s plugins.Span, from, to time.Time) string {
	whole := max(to.Sub(from), 1).Seconds()
	class := "bar"
	if s.Outcome == "failed" {
		class += " failed"
	}
	return fmt.Sprintf(`<div class="%s" style="margin-left:%.1f%%;width:%.1f%%"></div>`, class,
		100*s.Started.Sub(from).Seconds()/whole, 100*max(s.Ended.Sub(s.Started), 0).Seconds()/whole)
}

func seconds(d time.Duration) string {
	if d < time.Minute {
		return fmt.Sprintf("%.1f s", max(d, 0).Seconds())
	}
	return d.Round(time.Second).String()
}

// size is a number of bytes with three digits; nothing when it is not known.
func size(n int64) string {
	if n == 0 {
		return ""
	}
	value, unit := float64(n), 0
	for value >= 1000 && unit < 4 {
		value /= 1000
		unit++
	}
	return strings.TrimSpace(fmt.Sprintf("%.3g %s", value, []string{"B", "kB", "MB", "GB", "TB"}[unit]))
}
