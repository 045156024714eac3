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
	barWidth   = 20
	rateWidth  = 9
	etaWidth   = 7
	timeWidth  = 7
)

// Table draws the board as lines of at most the given width. When there are more stages than
// lines, the finished and the waiting are summed up and those that matter now are shown.
func (b *Board) Table(style Style, columns, lines int, now time.Time) []string {
	columns = max(columns, 40)
	name := 5
	for _, r := range b.rows {
		name = min(max(name, uniseg.StringWidth(r.name)), nameMax, columns/3)
	}
	out := []string{b.heading(style, columns, name, now)}
	shown, hidden := b.visible(max(lines-2, 3))
	for _, r := range shown {
		out = append(out, r.line(style, columns, name, now))
	}
	if hidden > 0 {
		out = append(out, style.paint(grey, fmt.Sprintf("  … and %d more: %s", hidden, CountsText(b.Counts()))))
	}
	return out
}

func (b *Board) heading(style Style, columns, name int, now time.Time) string {
	state := b.State
	if state == "" {
		state = Duration(now.Sub(b.Started).Round(100 * time.Millisecond))
	}
	left := fmt.Sprintf("  %s %s", pad("STAGE", name), pad("STATE", stateWidth))
	right := "run " + b.Run + " " + state
	if uniseg.StringWidth(left)+1+len(right) > columns {
		return style.paint(bold, cut(right, columns)) // the columns speak for themselves
	}
	return style.paint(bold, pad(left, columns-len(right)-1)+" "+right)
}

// visible picks the rows to show: all when they fit, else what runs, what failed, what ended
// last and what comes next, in order.
func (b *Board) visible(limit int) (shown []*row, hidden int) {
	if len(b.rows) <= limit {
		return b.rows, 0
	}
	want := map[*row]bool{}
	pick := func(match func(*row) bool) {
		for _, r := range b.rows {
			if len(want) < limit && !want[r] && match(r) {
				want[r] = true
			}
		}
	}
	pick(func(r *row) bool { return r.outcome == "running" })
	pick(func(r *row) bool { return r.outcome == "failed" })
	pick(func(r *row) bool { return r.outcome == "pending" })
	for i := len(b.rows) - 1; i >= 0 && len(want) < limit; i-- {
		want[b.rows[i]] = true
	}
	for _, r := range b.rows {
		if want[r] {
			shown = append(shown, r)
		}
	}
	return shown, len(b.rows) - len(shown)
}

func (r *row) line(style Style, columns, name int, now time.Time) string {
	mark, color := outcomeLook(r.outcome)
	head := mark + " " + pad(cutMiddle(r.name, name), name) + " "
	left := style.paint(color, head+pad(r.outcome, stateWidth))
	room := columns - 2 - name - 1 - stateWidth - 1
	return left + " " + r.detail(style, room, now)
}

// detail is what stands right of the state: bar, amount, rate, time left, time so far.
func (r *row) detail(style Style, room int, now time.Time) string {
	elapsed := r.elapsed
	if r.outcome == "running" {
		elapsed = now.Sub(r.started)
	}
	if r.outcome != "running" {
		text := ""
		if r.outcome == "succeeded" || elapsed > 0 && r.outcome != "cached" {
			text = Duration(elapsed) + "  "
		}
		if r.outcome != "succeeded" {
			text += r.reason
		}
		return style.paint(grey, cut(text, room))
	}
	parts := []string{}
	add := func(text string, width int) {
		if room >= width+1 {
			parts = append(parts, pad(cut(text, width), width))
			room -= width + 1
		}
	}
	add(Duration(elapsed), timeWidth)
	if r.total > 0 {
		add(bar(float64(r.done)/float64(r.total), barWidth), barWidth)
	}
	if r.unit != "" {
		add(amountText(r), 18)
		if rate := r.rate(); rate > 0 && r.unit != "bytes" {
			add(rateText(rate), rateWidth)
		} else if rate > 0 {
			add(Bytes(int64(rate))+"/s", rateWidth)
		}
	}
	if eta := r.eta(); eta >= 0 {
		add("-"+Duration(eta), etaWidth)
	}
	if r.attempt > 1 {
		add(fmt.Sprintf("attempt %d", r.attempt), 10)
	}
	if r.message != "" && room > 8 {
		parts = append(parts, cut(r.message, room))
	}
	return strings.Join(parts, " ")
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
var outcomeOrder = []string{"succeeded", "cached", "skipped", "running", "pending", "failed", "blocked", "interrupted", "cancelled"}

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
