package plot

import (
	"encoding/xml"
	"errors"
	"io"
	"math"
	"reflect"
	"strings"
	"testing"
)

// Every figure is well-formed XML that refers to nothing outside, whatever the data.
func TestFigures_AreSelfContained(t *testing.T) {
	for name, svg := range map[string]string{
		"lines":       Lines(`a "<b>" & c`, "step", "loss", Series{Name: "<loss>", X: []float64{1, 2, 3}, Y: []float64{3, math.NaN(), 1}}),
		"one point":   Lines("x", "step", "loss", Series{X: []float64{1}, Y: []float64{2}}),
		"nothing":     Lines("x", "step", "loss"),
		"infinite":    Lines("x", "step", "loss", Series{X: []float64{1, 2}, Y: []float64{math.Inf(1), math.Inf(-1)}}),
		"confusion":   Confusion("x", []string{"A", "B"}, [][]int{{1, 2}, {0, 0}}),
		"reliability": Reliability("x", []Bin{{Lo: 0, Hi: 0.5}, {Lo: 0.5, Hi: 1, Confidence: 0.8, Accuracy: 0.7, N: 3}}),
	} {
		d := xml.NewDecoder(strings.NewReader(svg))
		for {
			_, err := d.Token()
			if errors.Is(err, io.EOF) {
				break
			}
			if err != nil {
				t.Fatalf("%s: %v in %s", name, err, svg)
			}
		}
		if strings.Contains(svg, "NaN") || strings.Contains(svg, "Inf") || strings.Contains(svg, "href") {
			t.Errorf("%s: %s", name, svg)
		}
	}
}

func TestTicks_AreRound(t *testing.T) {
	for _, c := range []struct {
		low, high float64
		want      []float64
	}{
		{0, 1, []float64{0, 0.2, 0.4, 0.6000000000000001, 0.8, 1}},
		{0, 750, []float64{0, 100, 200, 300, 400, 500, 600, 700}},
	} {
		if got := ticks(c.low, c.high); !reflect.DeepEqual(got, c.want) {
			t.Errorf("%v to %v: %v", c.low, c.high, got)
		}
	}
}
