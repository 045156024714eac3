package console

import (
	"fmt"
	"strings"
	"time"

	"github.com/rivo/uniseg"
)

// Widths of the columns of the live table, in terminal cells.
const (
	nameMax    = 28
	stateWidth = 11
	timeWidth  = 7
	rateWidth  = 8
	etaWidth   = 10
	peakWidth  = 7
	wide       = 75 // room from which on the bar and the amount are long
)

// Table draws the board as lines of at most the given width. When there are more stages than
// lines, those that matter now are shown and the others summed up.
func (b *Board) Table(style Style, columns, lines int, now time.Time) []string {
	columns = max(columns, 40)
	name := min(max(5, b.name), nameMax, columns/3)
	seen := b.overview(max(lines-2, 3))
	out := []string{b.heading(style, columns, now, seen.counts)}
	for _, r := range seen.shown {
		out = append(out, r.line(style, columns, name, now))
	}
	if hidden := len(b.rows) - len(seen.shown); hidden > 0 {
		text := fmt.Sprintf("  … and %d more: %s", hidden, CountsText(seen.hidden))
		out = append(out, style.paint(grey, cut(text, columns)))
	}
	return out
}

// heading says which run it is, how long it has taken, and how much of it is done.
func (b *Board) heading(style Style, columns int, now time.Time, counts map[string]int) string {
	state := b.State
	if state == "" {
		state = Duration(now.Sub(b.Started))
	}
	done := counts["succeeded"] + counts["cached"] + counts["skipped"]
	text := fmt.Sprintf("run %s  %s  %d/%d stages", b.Run, state, done, len(b.rows))
	for _, outcome := range []string{"failed", "blocked", "interrupted", "cancelled"} {
		if n := counts[outcome]; n > 0 {
			text += fmt.Sprintf(", %d %s", n, outcome)
		}
	}
	text = cut(text, columns)
	const barRoom = 22
	if room := columns - uniseg.StringWidth(text); room >= barRoom && b.State == "" && len(b.rows) > 0 {
		return style.paint(bold, text) + "  " + bar(float64(done)/float64(len(b.rows)), barRoom-2)
	}
	return style.paint(bold, text)
}

func (r *row) line(style Style, columns, name int, now time.Time) string {
	mark, color := outcomeLook(r.outcome)
	head := mark + " " + pad(cutMiddle(r.name, name), name) + " "
	room := columns - 2 - name - 1 - stateWidth - 1
	detail := r.detail(style, room, now)
	if detail == "" {
		return style.paint(color, head+r.outcome)
	}
	return style.paint(color, head+pad(r.outcome, stateWidth)) + " " + detail
}

// cells are put side by side while there is room.
type cells struct {
	room  int
	parts []string
}

// add puts text of a fixed width; what does not fit is left out.
func (c *cells) add(text string, width int) {
	if c.room >= width {
		c.parts = append(c.parts, pad(cut(text, width), width))
		c.room -= width + 1
	}
}

func (c *cells) text() string { return strings.TrimRight(strings.Join(c.parts, " "), " ") }

// detail is what stands right of the state.
func (r *row) detail(style Style, room int, now time.Time) string {
	c := &cells{room: room}
	switch r.outcome {
	case "running":
		c.add(Duration(now.Sub(r.started)), timeWidth)
		r.running(c)
		return c.text()
	case "pending":
		return ""
	case "cached", "blocked":
		return style.paint(grey, cut(r.reason, room))
	}
	c.add(Duration(r.elapsed), timeWidth)
	if r.peak > 0 {
		c.add(Bytes(r.peak), peakWidth)
	}
	text := r.reason
	if r.outcome == "succeeded" {
		text = "" // why it ran was said when it started
	}
	if r.attempt > 1 {
		text = strings.TrimSpace(fmt.Sprintf("attempt %d  %s", r.attempt, text))
	}
	if c.room > 0 && text != "" {
		c.parts = append(c.parts, cut(text, c.room))
	}
	return style.paint(grey, c.text())
}

// running is how far a running stage is: bar, amount, rate, time left, memory, its own words.
func (r *row) running(c *cells) {
	barWidth, amountWidth := 10, 14
	if c.room >= wide {
		barWidth, amountWidth = 20, 18
	}
	if r.total > 0 {
		c.add(bar(float64(r.done)/float64(r.total), barWidth), barWidth)
	}
	if r.unit != "" {
		c.add(amountText(r), amountWidth)
		rate := ""
		if perSecond := r.rate(); perSecond > 0 && r.unit == "bytes" {
			rate = Bytes(int64(perSecond)) + "/s"
		} else if perSecond > 0 {
			rate = rateText(perSecond)
		}
		c.add(rate, rateWidth)
	}
	if r.total > 0 {
		left := ""
		if eta := r.eta(); eta >= 0 {
			left = Duration(eta) + " left"
		}
		c.add(left, etaWidth)
	}
	if r.attempt > 1 {
		c.add(fmt.Sprintf("attempt %d", r.attempt), len("attempt 2"))
	}
	if r.peak > 0 {
		c.add(Bytes(r.peak), peakWidth)
	}
	if r.message != "" && c.room > 8 {
		c.parts = append(c.parts, cut(r.message, c.room))
	}
}

// bar draws a share of 1 in eighths of a cell.
func bar(share float64, width int) string {
	share = min(max(share, 0), 1)
	eighths := int(share*float64(width)*8 + 0.5)
	text := strings.Repeat("█", eighths/8)
	if rest := eighths % 8; rest > 0 {
		text += string([]rune("▏▎▍▌▋▊▉")[rest-1])
	}
	return text + strings.Repeat("░", width-uniseg.StringWidth(text))
}

// outcomeOrder is the order in which counts are told.
var outcomeOrder = []string{"succeeded", "cached", "skipped", "running", waiting, "pending", "failed", "blocked", "interrupted", "cancelled"}

// CountsText writes counts of outcomes: "3 succeeded, 1 failed".
func CountsText(counts map[string]int) string {
	var parts []string
	for _, outcome := range outcomeOrder {
		if n := counts[outcome]; n > 0 {
			parts = append(parts, fmt.Sprintf("%d %s", n, outcome))
		}
	}
	return strings.Join(parts, ", ")
}
