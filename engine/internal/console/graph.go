package console

import (
	"fmt"
	"io"
	"strings"
)

// Graph is what the drawings need: instances in order, level by level, and who depends on whom.
type Graph struct {
	Name  string
	Nodes []GraphNode
}

// GraphNode is one instance.
type GraphNode struct {
	ID    string
	Stage string // of which it is an instance
	Uses  string
	Needs []string
	// Outcome of a run, or "".
	Outcome string
	// Note follows the name.
	Note string
}

// DOT writes the graph for Graphviz.
func DOT(w io.Writer, g Graph) {
	fmt.Fprintf(w, "digraph %q {\n  rankdir=LR;\n  node [shape=box, style=\"rounded,filled\", fillcolor=white, fontname=sans];\n", g.Name)
	for _, n := range g.Nodes {
		label := strings.NewReplacer(`\`, `\\`, `"`, `\"`).Replace(n.ID)
		if n.Outcome != "" {
			label += "\\n" + n.Outcome
		}
		fmt.Fprintf(w, "  %q [label=\"%s\"%s];\n", n.ID, label, dotFill(n.Outcome))
	}
	for _, n := range g.Nodes {
		for _, need := range n.Needs {
			fmt.Fprintf(w, "  %q -> %q;\n", need, n.ID)
		}
	}
	fmt.Fprintln(w, "}")
}

func dotFill(outcome string) string {
	fill := map[string]string{
		"succeeded": "palegreen", "cached": "gray90", "running": "lightblue", "failed": "lightcoral",
		"blocked": "mistyrose", "skipped": "lightyellow", "interrupted": "orange", "cancelled": "orange",
	}[outcome]
	if fill == "" {
		return ""
	}
	return ", fillcolor=" + fill
}

// Mermaid writes the graph as a Mermaid flowchart, as GitHub draws it in Markdown.
func Mermaid(w io.Writer, g Graph) {
	fmt.Fprintln(w, "flowchart LR")
	id := map[string]string{}
	for i, n := range g.Nodes {
		id[n.ID] = fmt.Sprintf("s%d", i) // ids of Mermaid are ASCII words; names are not
		label := n.ID
		if n.Outcome != "" {
			label += "<br/>" + n.Outcome
		}
		fmt.Fprintf(w, "  %s[\"%s\"]\n", id[n.ID], strings.ReplaceAll(label, `"`, "#quot;"))
	}
	for _, n := range g.Nodes {
		for _, need := range n.Needs {
			fmt.Fprintf(w, "  %s --> %s\n", id[need], id[n.ID])
		}
	}
}

// ASCII writes the graph for a terminal: one line a stage in order of execution, with rails on
// the left that run from each stage down to the stages that need it.
//
//	●      data
//	├─●    train
//	│ ├─●  bake
//
// A matrix of many instances is one line.
func ASCII(w io.Writer, style Style, g Graph) {
	g = fold(g)
	last := map[string]int{} // the row of the last stage that needs the key
	row := map[string]int{}
	for i, n := range g.Nodes {
		row[n.ID] = i
		for _, need := range n.Needs {
			last[need] = i
		}
	}
	var rails []string // which stage each column carries down; "" is free
	width := railWidth(g, last)
	for i, n := range g.Nodes {
		needed := map[string]bool{}
		for _, need := range n.Needs {
			needed[need] = true
		}
		line := railLine(&rails, n, needed, last, i)
		mark, color := "", ""
		if n.Outcome != "" {
			mark, color = outcomeLook(n.Outcome)
			mark += " "
		}
		text := fmt.Sprintf("%s  %s%s", pad(line, 2*width), mark, n.ID)
		if n.Note != "" {
			text += "  " + n.Note
		}
		if n.Uses != n.ID && n.Uses != n.Stage {
			text += style.paint(grey, " ("+n.Uses+")")
		}
		if len(n.Needs) > 0 {
			text += style.paint(grey, "  ← "+strings.Join(n.Needs, ", "))
		}
		if color != "" {
			text = style.paint(color, text)
		}
		fmt.Fprintln(w, strings.TrimRight(text, " "))
	}
}

// railLine draws the rails of row i and updates which columns are in use.
func railLine(rails *[]string, n GraphNode, needed map[string]bool, last map[string]int, i int) string {
	at := freeRail(rails)
	low, high := at, at // the columns that the line from this mark to its needs spans
	for c, id := range *rails {
		if needed[id] {
			low, high = min(low, c), max(high, c)
		}
	}
	cells := make([]rune, 2*len(*rails))
	for c, id := range *rails {
		cells[2*c], cells[2*c+1] = ' ', ' '
		switch {
		case c == at:
			cells[2*c] = '●'
		case needed[id]:
			cells[2*c] = corner(last[id] == i, c == low, c == high)
		case id != "":
			cells[2*c] = '│'
		case c > low && c < high:
			cells[2*c] = '─'
		}
		if c >= low && c < high {
			cells[2*c+1] = '─'
		}
	}
	for c, id := range *rails {
		if id != "" && last[id] == i {
			(*rails)[c] = ""
		}
	}
	if _, isNeeded := last[n.ID]; isNeeded {
		(*rails)[at] = n.ID
	}
	return strings.TrimRight(string(cells), " ")
}

// corner is where a rail meets the line to the stage that needs it: it ends here or goes on
// down, at the left end, the right end or in the middle of that line.
func corner(ends, leftmost, rightmost bool) rune {
	switch {
	case leftmost && ends:
		return '└'
	case leftmost:
		return '├'
	case rightmost && ends:
		return '┘'
	case rightmost:
		return '┤'
	case ends:
		return '┴'
	}
	return '┼'
}

func freeRail(rails *[]string) int {
	for c, id := range *rails {
		if id == "" {
			return c
		}
	}
	*rails = append(*rails, "")
	return len(*rails) - 1
}

// railWidth is the largest number of rails in use at once, plus the mark.
func railWidth(g Graph, last map[string]int) int {
	open, most := 0, 1
	ends := map[int]int{}
	for i, n := range g.Nodes {
		most = max(most, open+1)
		open -= ends[i]
		if end, ok := last[n.ID]; ok {
			open++
			ends[end]++
		}
	}
	return most
}
