package plot

import "fmt"

// Confusion draws counts [true][predicted] with the labels of both sides. A cell is the darker the
// larger its share of its row is.
func Confusion(label string, labels []string, counts [][]int) string {
	const cell, left, top = 96.0, 120.0, 48.0
	k := float64(len(labels))
	c := newCanvas(int(left+k*cell)+16, int(top+k*cell)+16, label)
	c.text(left+k*cell/2, 16, "middle", "predicted")
	c.text(8, top-8, "start", "true")
	for i, name := range labels {
		c.text(left+(float64(i)+0.5)*cell, 38, "middle", name)
		c.text(left-10, top+(float64(i)+0.5)*cell+4, "end", name)
		total := 0
		for _, n := range counts[i] {
			total += n
		}
		for j, n := range counts[i] {
			share := 0.0
			if total > 0 {
				share = float64(n) / float64(total)
			}
			color := palette[0]
			if i != j {
				color = palette[1]
			}
			x, y := left+float64(j)*cell, top+float64(i)*cell
			c.rect(x, y, cell-2, cell-2, color, fmt.Sprintf(`fill-opacity="%.3f" stroke="%s"`, 0.05+0.6*share, rule))
			c.text(x+cell/2, y+cell/2, "middle", fmt.Sprint(n))
			c.text(x+cell/2, y+cell/2+16, "middle", fmt.Sprintf("%.1f %%", 100*share))
		}
	}
	return c.String()
}

// Bin is one bin of a reliability diagram.
type Bin struct {
	Lo, Hi, Confidence, Accuracy float64
	N                            int
}

// Reliability draws accuracy against confidence, the diagonal of perfect calibration, and how many
// samples each bin holds.
func Reliability(label string, bins []Bin) string {
	c := newCanvas(380, 400, label)
	f := frame{left: 56, top: 28, right: 364, bottom: 280, x0: 0, x1: 1, y0: 0, y1: 1}
	c.axes(f, "", "accuracy")
	most := 1
	for _, b := range bins {
		most = max(most, b.N)
	}
	for _, b := range bins {
		if b.N == 0 {
			continue
		}
		c.rect(f.px(b.Lo)+1, f.py(b.Accuracy), f.px(b.Hi)-f.px(b.Lo)-2, f.bottom-f.py(b.Accuracy), palette[0], `fill-opacity="0.55"`)
		c.line(f.px(b.Lo)+1, f.py(b.Confidence), f.px(b.Hi)-1, f.py(b.Confidence), palette[1], `stroke-width="2"`)
		height := 50 * float64(b.N) / float64(most)
		c.rect(f.px(b.Lo)+1, 372-height, f.px(b.Hi)-f.px(b.Lo)-2, height, "#999", "")
		c.text((f.px(b.Lo)+f.px(b.Hi))/2, 384, "middle", fmt.Sprint(b.N))
	}
	c.line(f.px(0), f.py(0), f.px(1), f.py(1), ink, `stroke-dasharray="4 3"`)
	c.rect(200, 8, 12, 8, palette[0], `fill-opacity="0.55"`)
	c.text(216, 16, "start", "accuracy")
	c.rect(284, 11, 12, 3, palette[1], "")
	c.text(300, 16, "start", "confidence")
	c.text(210, 398, "middle", "confidence; below: samples per bin")
	return c.String()
}
