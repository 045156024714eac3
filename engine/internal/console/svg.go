package console

import (
	"fmt"
	"html"
	"io"
	"strings"

	"github.com/rivo/uniseg"
)

// Measures of the drawing, in pixels.
const (
	svgMargin    = 20.0
	svgBox       = 40.0 // height of a stage's box
	svgGap       = 12.0 // between boxes
	svgBend      = 14.0 // height that a passing edge takes
	svgBetween   = 70.0 // between columns
	svgCharacter = 7.4  // width of a terminal cell's worth of text
	svgMinimum   = 80.0 // width of a box
)

// svgStyle holds for a light and a dark page. An outcome is told by colour and by a mark.
const svgStyle = `
  svg { background: #fff; font: 13px system-ui, "Segoe UI", sans-serif; }
  .edge { fill: none; stroke: #9aa4b2; stroke-width: 1.4; }
  .box { fill: #f6f8fa; stroke: #8b95a3; }
  .name { fill: #1f2328; } .note { fill: #59636e; font-size: 11px; }
  .succeeded .box { fill: #e3f6e8; stroke: #2da44e; } .cached .box { fill: #f0f1f3; stroke: #aab2bd; }
  .running .box { fill: #ddf0ff; stroke: #0969da; } .failed .box { fill: #ffe3e0; stroke: #cf222e; stroke-width: 2; }
  .blocked .box { fill: #fff1f0; stroke: #cf222e; stroke-dasharray: 4 3; } .skipped .box { fill: #fff8dc; stroke: #bf8700; stroke-dasharray: 4 3; }
  .interrupted .box, .cancelled .box { fill: #fff3e0; stroke: #d97706; }
  @media (prefers-color-scheme: dark) {
    svg { background: #0d1117; } .edge { stroke: #59636e; } .box { fill: #161b22; }
    .name { fill: #e6edf3; } .note { fill: #9198a1; }
    .succeeded .box { fill: #12261a; } .cached .box { fill: #1c2128; } .running .box { fill: #0c2d4d; } .failed .box { fill: #3d1417; }
    .blocked .box { fill: #25171c; } .skipped .box { fill: #2a230f; } .interrupted .box, .cancelled .box { fill: #2d1f0b; }
  }
`

// SVG writes the graph as a picture that needs nothing beside itself: stages in columns, each right
// of all that it needs, with the outcomes of a run.
func SVG(w io.Writer, g Graph) {
	l := layer(g, svgBox+svgGap, svgBend)
	x, widths, width, height := svgMeasure(g, l)
	fmt.Fprintf(w, "<svg xmlns=\"http://www.w3.org/2000/svg\" width=\"%.0f\" height=\"%.0f\" viewBox=\"0 0 %.0f %.0f\">\n", width, height, width, height)
	fmt.Fprintf(w, "<title>%s</title>\n<style>%s</style>\n", svgText(g.Name), svgStyle)
	for _, route := range l.routes {
		fmt.Fprintf(w, "<path class=\"edge\" d=\"%s\"/>\n", svgRoute(l, route, x, widths))
	}
	for _, p := range l.points {
		if p.node >= 0 {
			svgNode(w, g.Nodes[p.node], x[p.column], svgMargin+p.y-svgBox/2, widths[p.column])
		}
	}
	fmt.Fprintln(w, "</svg>")
}

// svgMeasure returns where each column begins, how wide its boxes are, and the size of the picture.
func svgMeasure(g Graph, l layered) (x, widths []float64, width, height float64) {
	x, widths = make([]float64, len(l.columns)), make([]float64, len(l.columns))
	width = svgMargin
	for c, column := range l.columns {
		widths[c] = svgMinimum
		for _, p := range column {
			if node := l.points[p].node; node >= 0 {
				text := max(uniseg.StringWidth(g.Nodes[node].ID), uniseg.StringWidth(svgNote(g.Nodes[node])))
				widths[c] = max(widths[c], float64(text)*svgCharacter+20)
			}
			height = max(height, l.points[p].y+l.points[p].height/2)
		}
		x[c] = width
		width += widths[c] + svgBetween
	}
	return x, widths, max(width-svgBetween, svgMargin) + svgMargin, height - svgGap/2 + 2*svgMargin
}

// svgRoute draws an edge as a curve from column to column, straight beside the boxes that it passes.
func svgRoute(l layered, route []int, x, widths []float64) string {
	var d strings.Builder
	for i, p := range route {
		q := l.points[p]
		y := svgMargin + q.y
		right := x[q.column] + widths[q.column]
		if i == 0 {
			fmt.Fprintf(&d, "M%.1f %.1f", right, y)
			continue
		}
		before := l.points[route[i-1]]
		from := x[before.column] + widths[before.column]
		middle := (from + x[q.column]) / 2
		fmt.Fprintf(&d, " C%.1f %.1f %.1f %.1f %.1f %.1f", middle, svgMargin+before.y, middle, y, x[q.column], y)
		if i < len(route)-1 {
			fmt.Fprintf(&d, " H%.1f", right)
		}
	}
	return d.String()
}

func svgNode(w io.Writer, n GraphNode, x, y, width float64) {
	fmt.Fprintf(w, "<g class=\"%s\"><title>%s</title><rect class=\"box\" x=\"%.1f\" y=\"%.1f\" width=\"%.1f\" height=\"%.0f\" rx=\"7\"/>",
		svgText(n.Outcome), svgText(strings.TrimSpace(n.ID+" "+n.Outcome)), x, y, width, svgBox)
	note := svgNote(n)
	baseline := y + svgBox/2 + 4.5
	if note != "" {
		baseline = y + 17
		fmt.Fprintf(w, "<text class=\"note\" x=\"%.1f\" y=\"%.1f\">%s</text>", x+10, y+32, svgText(note))
	}
	fmt.Fprintf(w, "<text class=\"name\" x=\"%.1f\" y=\"%.1f\">%s</text></g>\n", x+10, baseline, svgText(n.ID))
}

// svgNote is the second line of a box: how the stage ended, else what it uses where its name does
// not say it.
func svgNote(n GraphNode) string {
	if n.Outcome != "" {
		mark, _ := outcomeLook(n.Outcome)
		return mark + " " + n.Outcome
	}
	if n.Uses != n.Stage {
		return n.Uses
	}
	return ""
}

func svgText(text string) string { return html.EscapeString(oneLine(text)) }
