package console

import (
	"fmt"
	"io"
	"strings"

	"github.com/rivo/uniseg"

	"github.com/so8t/so8t/engine/workflow"
)

// excerptWidth bounds the shown part of a line, in terminal cells.
const excerptWidth = 100

// Problems draws each problem with its place, the line it points at and what to do:
//
//	workflow.yaml:12:5: unknown key "lorra"
//	   12 |     lorra: { r: 8 }
//	      |     ^
//	      = did you mean "lora"?
func Problems(w io.Writer, style Style, problems workflow.Problems) {
	for _, p := range problems {
		place := ""
		if p.File != "" {
			place = workflow.Pos{File: p.File, Line: p.Line, Col: p.Col}.String() + ": "
		}
		fmt.Fprintf(w, "%s%s %s\n", style.paint(bold, place), style.paint(red, PlainText(p.Message)), style.paint(grey, "["+p.Code+"]"))
		margin := len(fmt.Sprint(p.Line))
		if p.Excerpt != "" && p.Line > 0 {
			excerpt(w, style, p, margin)
		}
		if len(p.Path) > 0 {
			fmt.Fprintf(w, "  %*s = %s\n", margin, "", strings.Join(p.Path, " → "))
		}
		if p.Hint != "" {
			fmt.Fprintf(w, "  %*s = %s\n", margin, "", PlainText(p.Hint))
		}
	}
	switch n := len(problems); n {
	case 0:
	case 1:
		fmt.Fprintln(w, "1 problem")
	default:
		fmt.Fprintf(w, "%d problems\n", n)
	}
}

// excerpt draws a line of the file and a pointer below its column. A long line is cut around
// the column; a tab is drawn as one blank, so that the pointer stands right.
func excerpt(w io.Writer, style Style, p workflow.Problem, margin int) {
	text := []rune(PlainText(strings.ReplaceAll(p.Excerpt, "\t", " ")))
	col := min(max(p.Col-1, 0), len(text))
	before, lead := text[:col], ""
	if uniseg.StringWidth(string(before)) > excerptWidth/2 {
		for uniseg.StringWidth(string(before)) > excerptWidth/2 {
			before = before[1:]
		}
		lead = "…"
	}
	shown := lead + string(before)
	pointer := strings.Repeat(" ", uniseg.StringWidth(shown)) + "^"
	rest := cut(string(text[col:]), excerptWidth-uniseg.StringWidth(shown))
	fmt.Fprintf(w, "  %s %s\n", style.paint(grey, fmt.Sprintf("%*d |", margin, p.Line)), shown+rest)
	fmt.Fprintf(w, "  %s %s\n", style.paint(grey, fmt.Sprintf("%*s |", margin, "")), style.paint(red, pointer))
}
