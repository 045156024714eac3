package console

import (
	"fmt"
	"io"
	"strings"

	"github.com/rivo/uniseg"
)

// Columns are rows of text aligned below a heading. A cell of several lines continues below.
type Columns struct {
	heading []string
	rows    [][]string
}

// NewTable starts a table with its heading.
func NewTable(heading ...string) *Columns { return &Columns{heading: heading} }

// Row adds one row; it has as many cells as the heading. A cell may hold words of a plugin.
func (t *Columns) Row(cells ...string) {
	row := make([]string, len(cells))
	for i, cell := range cells {
		row[i] = PlainText(cell)
	}
	t.rows = append(t.rows, row)
}

// Write aligns and writes the table. Cells that name an outcome or pass a verdict are coloured.
func (t *Columns) Write(w io.Writer, style Style) {
	widths := make([]int, len(t.heading))
	for _, row := range append([][]string{t.heading}, t.rows...) {
		for i, cell := range row {
			for line := range strings.SplitSeq(cell, "\n") {
				widths[i] = max(widths[i], uniseg.StringWidth(line))
			}
		}
	}
	t.writeRow(w, t.heading, widths, func(s string) string { return style.paint(bold, s) })
	for _, row := range t.rows {
		t.writeRow(w, row, widths, func(s string) string {
			if color := wordColor(strings.TrimSpace(s)); color != "" {
				return style.paint(color, s)
			}
			return s
		})
	}
}

func (t *Columns) writeRow(w io.Writer, row []string, widths []int, paint func(string) string) {
	cells := make([][]string, len(row))
	height := 1
	for i, cell := range row {
		cells[i] = strings.Split(cell, "\n")
		height = max(height, len(cells[i]))
	}
	for line := range height {
		var b strings.Builder
		for i := range row {
			text := ""
			if line < len(cells[i]) {
				text = cells[i][line]
			}
			last := i == len(row)-1
			if !last {
				text = pad(text, widths[i])
			}
			b.WriteString(paint(text))
			if !last {
				b.WriteString("  ")
			}
		}
		fmt.Fprintln(w, strings.TrimRight(b.String(), " "))
	}
}
