package console

import "strings"

// Sparkline draws a series of [step, value] pairs as one line of blocks, at most width wide;
// each block is the mean of the values that fall into it.
func Sparkline(series [][2]float64, width int) string {
	if len(series) < 2 {
		return ""
	}
	width = min(width, len(series))
	means := make([]float64, width)
	for i := range means {
		from, to := i*len(series)/width, (i+1)*len(series)/width
		for _, point := range series[from:to] {
			means[i] += point[1] / float64(to-from)
		}
	}
	low, high := means[0], means[0]
	for _, m := range means {
		low, high = min(low, m), max(high, m)
	}
	blocks := []rune("▁▂▃▄▅▆▇█")
	var b strings.Builder
	for _, m := range means {
		level := 0
		if high > low {
			level = int((m - low) / (high - low) * float64(len(blocks)-1))
		}
		b.WriteRune(blocks[level])
	}
	return b.String()
}
