package report

import (
	"encoding/json"
	"fmt"
	"html"
	"strings"
)

// style is the whole style sheet: the page loads nothing.
const style = `
:root{color-scheme:light}
body{font:15px/1.55 system-ui,sans-serif;max-width:60rem;margin:2rem auto;padding:0 1rem;color:#222;background:#fff}
h1{font-size:1.7rem}h2{font-size:1.2rem;margin-top:2.2rem;border-bottom:1px solid #ddd;padding-bottom:.2rem}
table{border-collapse:collapse;margin:.8rem 0;display:block;overflow-x:auto}
th,td{text-align:left;padding:.25rem .8rem .25rem 0;border-bottom:1px solid #eee;vertical-align:top}
th{font-weight:600;color:#555}
.n{font-variant-numeric:tabular-nums;border-bottom:1px dotted #bbb;cursor:help}
.s{white-space:nowrap;font-weight:600}
.passed{color:#00694d}.failed{color:#b3261e;background:#fdecea;padding:0 .3rem}
.notrun{color:#666;font-style:italic;font-weight:400;border:1px dashed #bbb;padding:0 .3rem}
pre{white-space:pre-wrap;background:#f6f6f6;padding:.6rem .8rem}figure{margin:1rem 0}figcaption{color:#555}svg{max-width:100%;height:auto}
details{margin-top:1rem}code{font-size:.85em;color:#555}
`

// html writes one page that needs nothing else.
func (d *document) html() (string, error) {
	numbers, err := json.Marshal(map[string]any{"numbers": d.numbers})
	if err != nil {
		return "", fmt.Errorf("writing the numbers: %w", err)
	}
	index := map[string]Number{}
	for _, n := range d.numbers {
		index[n.Name] = n
	}
	var b strings.Builder
	fmt.Fprintf(&b, "<!doctype html>\n<html lang=\"en\"><head><meta charset=\"utf-8\"><meta name=\"viewport\" content=\"width=device-width\"><title>%s</title><style>%s</style></head><body>\n<h1>%s</h1>\n",
		html.EscapeString(d.title), style, html.EscapeString(d.title))
	for _, s := range d.sections {
		fmt.Fprintf(&b, "<section><h2>%s</h2>\n", html.EscapeString(s.heading))
		for _, block := range s.blocks {
			writeBlock(&b, block, index)
		}
		b.WriteString("</section>\n")
	}
	writeSources(&b, d.numbers)
	// "<" cannot occur in the script: json.Marshal writes it as \u003c.
	fmt.Fprintf(&b, "<script type=\"application/json\" id=\"numbers\">%s</script>\n</body></html>\n", numbers)
	return b.String(), nil
}

func writeBlock(b *strings.Builder, block block, index map[string]Number) {
	switch {
	case block.table != nil:
		b.WriteString("<table><thead><tr>")
		for _, h := range block.table.heading {
			fmt.Fprintf(b, "<th>%s</th>", html.EscapeString(h))
		}
		b.WriteString("</tr></thead><tbody>\n")
		for _, row := range block.table.rows {
			b.WriteString("<tr>")
			for _, c := range row {
				fmt.Fprintf(b, "<td>%s</td>", htmlCell(c, index))
			}
			b.WriteString("</tr>\n")
		}
		b.WriteString("</tbody></table>\n")
	case block.figure != nil:
		fmt.Fprintf(b, "<figure>%s<figcaption>%s</figcaption></figure>\n", block.figure.svg, html.EscapeString(block.figure.caption))
	case block.quote != "":
		fmt.Fprintf(b, "<pre>%s</pre>\n", html.EscapeString(block.quote))
	default:
		b.WriteString("<p>")
		for _, c := range block.text {
			b.WriteString(htmlCell(c, index))
		}
		b.WriteString("</p>\n")
	}
}

func htmlCell(c cell, index map[string]Number) string {
	text := html.EscapeString(c.text)
	if c.number != "" {
		n := index[c.number]
		return fmt.Sprintf(`<span class="n" data-number="%s" title="%s of stage %s, sha256 %s">%s</span>`,
			html.EscapeString(c.number), html.EscapeString(n.Output), html.EscapeString(n.Stage), n.SHA256, text)
	}
	if c.state != "" {
		class := strings.ReplaceAll(string(c.state), " ", "")
		if text != "" {
			text = " " + text
		}
		return fmt.Sprintf(`<span class="s %s">%s %s</span>%s`, class, marks[c.state], c.state, text)
	}
	return text
}

// writeSources lists the artifacts that were read, once each.
func writeSources(b *strings.Builder, numbers []Number) {
	b.WriteString("<details><summary>Where the numbers come from</summary><table><tbody>\n")
	seen := map[string]bool{}
	for _, n := range numbers {
		if key := n.Stage + "/" + n.Output; !seen[key] {
			seen[key] = true
			fmt.Fprintf(b, "<tr><td>%s</td><td>%s</td><td><code>%s</code></td></tr>\n", html.EscapeString(n.Stage), html.EscapeString(n.Output), n.SHA256)
		}
	}
	b.WriteString("</tbody></table></details>\n")
}
