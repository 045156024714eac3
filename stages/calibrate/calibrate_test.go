package calibrate

import (
	"math"
	"math/rand/v2"
	"slices"
	"testing"

	"github.com/so8t/so8t/stages/internal/dataset"
	"github.com/so8t/so8t/stages/internal/metrics"
)

// sample draws rows whose labels follow softmax(scores / planted).
func sample(n int, planted float64) ([]dataset.Row, [][]float64) {
	r := rand.New(rand.NewPCG(9, 9))
	rows, scores := make([]dataset.Row, n), make([][]float64, n)
	for i := range rows {
		scores[i] = []float64{r.NormFloat64() * 6, r.NormFloat64() * 6, r.NormFloat64() * 6}
		u, label := r.Float64(), 2
		for k, p := range metrics.Softmax(scores[i], planted) {
			if u -= p; u < 0 {
				label = k
				break
			}
		}
		rows[i].Label = dataset.Labels[label]
	}
	return rows, scores
}

func TestFit_RecoversThePlantedTemperature(t *testing.T) {
	rows, scores := sample(2000, 2)
	r, err := fit(Config{Bins: 15, MaxFalseAllow: 0.01, Resamples: 100}, rows, scores)
	if err != nil {
		t.Fatal(err)
	}
	if math.Abs(r.Temperature.Temperature-2) > 0.2 {
		t.Errorf("temperature %v, want 2 ± 10 %%", r.Temperature.Temperature)
	}
	if r.After.NLL > r.Before.NLL || r.After.ECE > r.Before.ECE {
		t.Errorf("nll %v → %v, ece %v → %v", r.Before.NLL, r.After.NLL, r.Before.ECE, r.After.ECE)
	}
	if *r.Decision.FalseAllowRate > 0.01 {
		t.Errorf("false-allow rate of the decision %v on its own split", *r.Decision.FalseAllowRate)
	}
	for _, c := range []struct {
		i    metrics.Percentile
		held float64
	}{{r.Intervals["nll"], r.Before.NLL}, {r.IntervalsAfter["nll"], r.After.NLL}} {
		if !(*c.i.Lo < c.held && c.held < *c.i.Hi) {
			t.Errorf("interval %v…%v does not hold %v", *c.i.Lo, *c.i.Hi, c.held)
		}
	}
	if i := r.IntervalsAfter["nll"]; *i.Hi >= r.Before.NLL {
		t.Errorf("interval after the temperature ends at %v, not below the %v before it", *i.Hi, r.Before.NLL)
	}
}

func TestFit_WarnsOfWhatWeakensTheResult(t *testing.T) {
	rows, scores := sample(40, 4)
	r, err := fit(Config{Bins: 15, MaxFalseAllow: 0.01}, rows, scores)
	if err != nil {
		t.Fatal(err)
	}
	for _, want := range []string{"small-n", "threshold-small-n", "unusual-temperature"} {
		if !slices.Contains(r.Temperature.Warnings, want) {
			t.Errorf("no warning %q in %v", want, r.Temperature.Warnings)
		}
	}
	if n := len(r.Temperature.Warnings); len(r.WarningTexts) != n {
		t.Errorf("%d warnings but %d texts", n, len(r.WarningTexts))
	}
	for i, text := range r.WarningTexts {
		if text == r.Temperature.Warnings[i] {
			t.Errorf("warning %q has no text for people", text)
		}
	}
}
