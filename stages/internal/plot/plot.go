// Package plot draws the few figures of a report as inline SVG: curves, a reliability diagram, a
// confusion matrix. The same data gives the same bytes; nothing is loaded from anywhere.
package plot

import (
	"fmt"
	"html"
	"math"
	"strings"
)

// Colours that people with red-green blindness can tell apart (Okabe and Ito).
var palette = []string{"#0072b2", "#d55e00", "#009e73", "#cc79a7"}

const (
	ink  = "#333"
	rule = "#ddd"
)

// canvas collects elements of one SVG.
type canvas struct {
	b             strings.Builder
	width, height int
}

func newCanvas(width, height int, label string) *canvas {
	c := &canvas{width: width, height: height}
	fmt.Fprintf(&c.b, `<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 %d %d" width="%d" height="%d" role="img" aria-label="%s" font-family="sans-serif" font-size="12">`,
		width, height, width, height, html.EscapeString(label))
	return c
}

func (c *canvas) String() string { return c.b.String() + "</svg>" }

func (c *canvas) line(x1, y1, x2, y2 float64, color string, extra string) {
	fmt.Fprintf(&c.b, `<line x1="%.1f" y1="%.1f" x2="%.1f" y2="%.1f" stroke="%s" %s/>`, x1, y1, x2, y2, color, extra)
}

func (c *canvas) rect(x, y, w, h float64, fill, extra string) {
	fmt.Fprintf(&c.b, `<rect x="%.1f" y="%.1f" width="%.1f" height="%.1f" fill="%s" %s/>`, x, y, w, h, fill, extra)
}

// text writes at a point; anchor is start, middle or end.
func (c *canvas) text(x, y float64, anchor, text string) {
	fmt.Fprintf(&c.b, `<text x="%.1f" y="%.1f" text-anchor="%s" fill="%s">%s</text>`, x, y, anchor, ink, html.EscapeString(text))
}

// frame maps data to the area inside the axes.
type frame struct {
	left, top, right, bottom float64
	x0, x1, y0, y1           float64
}

func (f frame) px(x float64) float64 { return f.left + (x-f.x0)/(f.x1-f.x0)*(f.right-f.left) }
func (f frame) py(y float64) float64 { return f.bottom - (y-f.y0)/(f.y1-f.y0)*(f.bottom-f.top) }

// axes draws rules and labels at round values.
func (c *canvas) axes(f frame, xLabel, yLabel string) {
	for _, v := range ticks(f.y0, f.y1) {
		c.line(f.left, f.py(v), f.right, f.py(v), rule, "")
		c.text(f.left-6, f.py(v)+4, "end", tickText(v))
	}
	for _, v := range ticks(f.x0, f.x1) {
		c.text(f.px(v), f.bottom+16, "middle", tickText(v))
	}
	c.line(f.left, f.bottom, f.right, f.bottom, ink, "")
	c.text((f.left+f.right)/2, f.bottom+32, "middle", xLabel)
	c.text(f.left-40, f.top-8, "start", yLabel)
}

// ticks returns about five round values in [low, high].
func ticks(low, high float64) []float64 {
	span := high - low
	if span <= 0 {
		return []float64{low}
	}
	step := math.Pow(10, math.Floor(math.Log10(span/5)))
	for _, factor := range []float64{5, 2} {
		if span/(step*factor) >= 4 {
			step *= factor
			break
		}
	}
	var out []float64
	for k := math.Ceil(low/step - 1e-9); k*step <= high+1e-9*span; k++ {
		out = append(out, k*step)
	}
	return out
}

func tickText(v float64) string {
	if math.Abs(v) < 1e-12 {
		return "0"
	}
	return fmt.Sprintf("%.4g", v)
}

// Series is one named curve.
type Series struct {
	Name string
	X, Y []float64
	// Dots marks the points instead of joining them.
	Dots bool
}

// Lines draws curves over a common axis. Values that are not finite are left out.
func Lines(label, xLabel, yLabel string, series ...Series) string {
	c := newCanvas(640, 320, label)
	f := frame{left: 60, top: 28, right: 620, bottom: 270, x0: math.Inf(1), x1: math.Inf(-1), y0: math.Inf(1), y1: math.Inf(-1)}
	for _, s := range series {
		for i := range s.X {
			if finite(s.Y[i]) {
				f.x0, f.x1 = min(f.x0, s.X[i]), max(f.x1, s.X[i])
				f.y0, f.y1 = min(f.y0, s.Y[i]), max(f.y1, s.Y[i])
			}
		}
	}
	if !(f.x1 > f.x0) {
		f.x0, f.x1 = f.x0-1, f.x0+1
	}
	if !(f.y1 > f.y0) {
		f.y0, f.y1 = f.y0-1, f.y0+1
	}
	if !finite(f.x0) || !finite(f.y0) {
		f.x0, f.x1, f.y0, f.y1 = 0, 1, 0, 1
	}
	c.axes(f, xLabel, yLabel)
	for i, s := range series {
		c.curve(f, s, palette[i%len(palette)])
		x := 420 + 100*float64(i)
		c.rect(x, 8, 12, 4, palette[i%len(palette)], "")
		c.text(x+18, 14, "start", s.Name)
	}
	return c.String()
}

func (c *canvas) curve(f frame, s Series, color string) {
	var points []string
	for i := range s.X {
		if !finite(s.Y[i]) {
			continue
		}
		if s.Dots {
			fmt.Fprintf(&c.b, `<circle cx="%.1f" cy="%.1f" r="3.5" fill="%s"/>`, f.px(s.X[i]), f.py(s.Y[i]), color)
		}
		points = append(points, fmt.Sprintf("%.1f,%.1f", f.px(s.X[i]), f.py(s.Y[i])))
	}
	fmt.Fprintf(&c.b, `<polyline points="%s" fill="none" stroke="%s" stroke-width="1.5"/>`, strings.Join(points, " "), color)
}

func finite(v float64) bool { return !math.IsNaN(v) && !math.IsInf(v, 0) }
