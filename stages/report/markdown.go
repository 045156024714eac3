package report

import (
	"fmt"
	"strings"
)

// markdown writes the document without its figures, which are in the HTML page.
func (d *document) markdown() string {
	var b strings.Builder
	fmt.Fprintf(&b, "# %s\n", d.title)
	for _, s := range d.sections {
		fmt.Fprintf(&b, "\n## %s\n", s.heading)
		for _, block := range s.blocks {
			switch {
			case block.table != nil:
				b.WriteString("\n")
				markdownTable(&b, block.table)
			case block.figure != nil:
				fmt.Fprintf(&b, "\n*Figure in report.html: %s.*\n", block.figure.caption)
			case block.quote != "":
				// Indented, it may hold whatever marks it likes.
				b.WriteString("\n    " + strings.ReplaceAll(block.quote, "\n", "\n    ") + "\n")
			default:
				b.WriteString("\n" + markdownCells(block.text) + "\n")
			}
		}
	}
	b.WriteString("\n## Where the numbers come from\n\nEvery number above stands in report.json with the stage, the output and the sha256 of the artifact it was read from.\n")
	return b.String()
}

func markdownTable(b *strings.Builder, t *table) {
	heading := make([]string, len(t.heading))
	for i, h := range t.heading {
		heading[i] = markdownCells([]cell{{text: h}})
	}
	fmt.Fprintf(b, "| %s |\n|%s\n", strings.Join(heading, " | "), strings.Repeat("---|", len(heading)))
	for _, row := range t.rows {
		cells := make([]string, len(row))
		for i, c := range row {
			cells[i] = markdownCells([]cell{c})
		}
		fmt.Fprintf(b, "| %s |\n", strings.Join(cells, " | "))
	}
}

func markdownCells(cells []cell) string {
	var b strings.Builder
	for _, c := range cells {
		if c.state != "" {
			b.WriteString(marks[c.state] + " " + string(c.state))
			if c.text != "" {
				b.WriteString(": ")
			}
		}
		b.WriteString(strings.NewReplacer("|", `\|`, "\n", " ", "<", "&lt;").Replace(c.text))
	}
	return b.String()
}
