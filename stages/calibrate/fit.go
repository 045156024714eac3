package calibrate

import (
	"fmt"
	"sort"
	"strings"

	"github.com/so8t/so8t/plugins"
	"github.com/so8t/so8t/stages/internal/dataset"
	"github.com/so8t/so8t/stages/internal/metrics"
	"github.com/so8t/so8t/stages/internal/scoring"
)

// A temperature outside these says that something is wrong with the model or the split.
const (
	unusualBelow = 0.5
	unusualAbove = 2.0
)

// bootstrapSeed makes the intervals a function of the scores alone.
const bootstrapSeed = 20250611

// fit finds temperature and threshold of scores and measures both.
func fit(c Config, rows []dataset.Row, scores [][]float64) (Report, error) {
	y := make([]int, len(rows))
	for i, row := range rows {
		k, err := metrics.LabelIndex(dataset.Labels, row.Label)
		if err != nil {
			return Report{}, plugins.Errorf(plugins.BadInput, "row %q: %w", row.ID, err)
		}
		y[i] = k
	}
	set, err := metrics.NewSet(dataset.Labels, metrics.Logits, scores, y)
	if err != nil {
		return Report{}, plugins.Errorf(plugins.BadInput, "scores of the calibration split: %w", err)
	}
	t := set.FitTemperature(c.Bins)
	allow := make([]float64, len(scores))
	for i, z := range scores {
		allow[i] = metrics.Softmax(z, t.T)[0]
	}
	threshold, enough := scoring.Threshold(allow, y, c.MaxFalseAllow)
	warnings := t.Warnings
	if !enough {
		warnings = append(warnings, "threshold-small-n")
	}
	if t.T < unusualBelow || t.T > unusualAbove {
		warnings = append(warnings, "unusual-temperature")
	}
	sort.Strings(warnings)
	r := Report{
		N: len(rows), MaxFalseAllow: c.MaxFalseAllow, WarningTexts: []string{},
		Temperature: Temperature{t.T, threshold, dataset.Labels, t.Bounds, t.AtBound, warnings},
		Before:      set.Calibrated(1, c.Bins), After: set.Calibrated(t.T, c.Bins),
		Decision: metrics.Classify(dataset.Labels, y, scoring.Decisions(scores, t.T, threshold)),
	}
	for _, w := range warnings {
		r.WarningTexts = append(r.WarningTexts, warningText(w, r))
	}
	if c.Resamples > 0 {
		resamples := metrics.Resamples(len(rows), c.Resamples, bootstrapSeed)
		r.Intervals, r.IntervalsAfter = set.Bootstrap(resamples, c.Bins), set.Tempered(t.T).Bootstrap(resamples, c.Bins)
	}
	return r, nil
}

func warningText(w string, r Report) string {
	switch w {
	case "flat":
		return "all labels score the same in every row: no temperature fits better than another"
	case "small-n":
		return fmt.Sprintf("only %d calibration rows: temperature and errors are rough", r.N)
	case "at-lower-bound", "at-upper-bound":
		return fmt.Sprintf("the temperature hit its bound %v: the scores separate the labels, or mean nothing", r.Temperature.Temperature)
	case "unusual-temperature":
		return fmt.Sprintf("temperature %.3g is outside %v to %v: look at the model and the split", r.Temperature.Temperature, unusualBelow, unusualAbove)
	case "threshold-small-n":
		return fmt.Sprintf("too few rows to promise a false-allow rate of %v: the threshold is the highest score seen on a row not to be allowed", r.MaxFalseAllow)
	}
	if label, absent := strings.CutPrefix(w, "label-absent:"); absent {
		return fmt.Sprintf("no calibration row has the label %s", label)
	}
	return w
}
