package console

import (
	"fmt"
	"strings"
	"time"
	"unicode"

	"github.com/rivo/uniseg"
)

// Style colours text, or leaves it alone where colours are off.
type Style struct{ Color bool }

// The colours say the same thing everywhere: green is done, red failed, yellow needs a look,
// cyan runs, grey is not worth a look.
const (
	green  = "32"
	red    = "31"
	yellow = "33"
	cyan   = "36"
	grey   = "90"
	bold   = "1"
)

func (s Style) paint(code, text string) string {
	if !s.Color || text == "" {
		return text
	}
	return "\x1b[" + code + "m" + text + "\x1b[0m"
}

// outcomeLook is how an outcome is shown: a mark of one cell, and a colour.
func outcomeLook(outcome string) (mark, color string) {
	switch outcome {
	case "succeeded":
		return "✓", green
	case "cached":
		return "=", grey
	case "running":
		return "▶", cyan
	case "failed":
		return "✗", red
	case "blocked":
		return "⊘", red
	case "skipped":
		return "-", yellow
	case "interrupted", "cancelled":
		return "!", yellow
	case waiting:
		return "↻", yellow
	}
	return "·", grey
}

// wordColor is the colour of a word that stands alone in a table; "" for most.
func wordColor(word string) string {
	switch word {
	case "better":
		return green
	case "worse":
		return red
	case "cached":
		return grey
	}
	if _, color := outcomeLook(word); color != grey {
		return color
	}
	return ""
}

// PlainText takes out of a plugin's words what would act on the terminal instead of being read:
// control characters, escape sequences' first byte among them, and what turns the order of letters
// around. Line ends and tabs stay.
func PlainText(text string) string {
	return strings.Map(func(r rune) rune {
		if unicode.IsControl(r) && r != '\n' && r != '\t' || unicode.Is(unicode.Bidi_Control, r) {
			return -1
		}
		return r
	}, text)
}

// oneLine is PlainText for a row of the live table, which counts its lines to erase them.
func oneLine(text string) string { return strings.Join(strings.Fields(PlainText(text)), " ") }

// pad fills text with blanks to a width in terminal cells (Japanese takes two a character).
func pad(text string, width int) string {
	if n := width - uniseg.StringWidth(text); n > 0 {
		return text + strings.Repeat(" ", n)
	}
	return text
}

// cut shortens text to a width in terminal cells, with … at the end when something is missing.
func cut(text string, width int) string {
	if uniseg.StringWidth(text) <= width {
		return text
	}
	if width <= 1 {
		return strings.Repeat("…", max(width, 0))
	}
	var b strings.Builder
	used := 0
	for g := uniseg.NewGraphemes(text); g.Next(); {
		if used+g.Width() > width-1 {
			break
		}
		b.WriteString(g.Str())
		used += g.Width()
	}
	return b.String() + "…"
}

// cutMiddle shortens a name to a width, keeping both ends: names of a kind differ in their last
// letters.
func cutMiddle(text string, width int) string {
	if uniseg.StringWidth(text) <= width || width < 3 {
		return cut(text, width)
	}
	tail := ""
	for clusters := uniseg.NewGraphemes(text); clusters.Next(); {
		_, to := clusters.Positions()
		if tail = text[to:]; uniseg.StringWidth(tail) <= width/2-1 {
			break
		}
	}
	head := cut(text, width-uniseg.StringWidth(tail))
	return head + tail
}

// Duration writes a duration as people read it: 0.4s, 12.3s, 4m05s, 2h03m.
func Duration(d time.Duration) string {
	switch {
	case d < 0:
		return ""
	case d < time.Minute:
		return fmt.Sprintf("%.1fs", d.Seconds())
	case d < time.Hour:
		return fmt.Sprintf("%dm%02ds", int(d.Minutes()), int(d.Seconds())%60)
	}
	return fmt.Sprintf("%dh%02dm", int(d.Hours()), int(d.Minutes())%60)
}

// Bytes writes a size with three digits: 1.21 MB.
func Bytes(n int64) string {
	const k = 1000
	if n < k {
		return fmt.Sprintf("%d B", n)
	}
	value, unit := float64(n), 0
	for value >= k && unit < 4 {
		value /= k
		unit++
	}
	return fmt.Sprintf("%.3g %cB", value, " kMGT"[unit])
}
