package eval

import (
	"fmt"
	"slices"
	"strings"

	"github.com/so8t/so8t/stages/internal/dataset"
	"github.com/so8t/so8t/stages/internal/metrics"
	"github.com/so8t/so8t/stages/internal/ngram"
)

// Report is metrics.json.
type Report struct {
	N              int      `json:"n"`
	Labels         []string `json:"labels"`
	Temperature    float64  `json:"temperature"`
	AllowThreshold float64  `json:"allow_threshold"`
	// Models holds tuned, and base and nogate when they were measured.
	Models map[string]*ModelReport `json:"models"`
	// Comparisons hold tuned (b) against the others (a): base, nogate, ngram.
	Comparisons map[string]metrics.Comparison `json:"comparisons"`
	Majority    *Baseline                     `json:"majority,omitempty"`
	Ngram       *Baseline                     `json:"ngram,omitempty"`
	// Agreement counts generated answers whose label is the scored one.
	Agreement *metrics.Interval  `json:"output_agreement_interval,omitempty"`
	Agree     int                `json:"output_agreement_count"`
	Generated int                `json:"generated"`
	Longform  []metrics.Longform `json:"longform,omitempty"`

	e           *evaluation
	predictions map[string][]int
}

// ModelReport is everything measured of one model.
type ModelReport struct {
	metrics.Classification
	metrics.Calibration
	After    metrics.Calibration    `json:"after"`
	Decision metrics.Classification `json:"decision"`
	// Intervals are at temperature 1, IntervalsAfter at the fitted one.
	Intervals      map[string]metrics.Percentile `json:"intervals,omitempty"`
	IntervalsAfter map[string]metrics.Percentile `json:"intervals_after,omitempty"`
}

// Baseline is a classifier that is no language model.
type Baseline struct {
	metrics.Classification
	Label string `json:"label,omitempty"` // of the majority
}

func newReport(e *evaluation) *Report {
	return &Report{
		N: len(e.rows), Labels: dataset.Labels, Temperature: e.calibrate.Temperature, AllowThreshold: e.calibrate.AllowThreshold,
		Models: map[string]*ModelReport{}, Comparisons: map[string]metrics.Comparison{}, e: e, predictions: map[string][]int{},
	}
}

// add measures what a model said; tuned comes first.
func (r *Report) add(name string, j judged) error {
	e := r.e
	set, err := metrics.NewSet(dataset.Labels, metrics.Logits, j.scores, e.y)
	if err != nil {
		return err
	}
	m := &ModelReport{
		Classification: metrics.Classify(dataset.Labels, e.y, set.Predictions()),
		Calibration:    set.Calibrated(1, e.c.Bins), After: set.Calibrated(e.calibrate.Temperature, e.c.Bins),
		Decision: metrics.Classify(dataset.Labels, e.y, e.decisions(j)),
	}
	if len(e.resamples) > 0 {
		m.Intervals = set.Bootstrap(e.resamples, e.c.Bins)
		m.IntervalsAfter = set.Tempered(e.calibrate.Temperature).Bootstrap(e.resamples, e.c.Bins)
	}
	r.Models[name] = m
	r.predictions[name] = set.Predictions()
	if name != tuned {
		r.Comparisons[name] = metrics.Compare(dataset.Labels, e.y, r.predictions[name], r.predictions[tuned], e.resamples)
		return nil
	}
	r.addOutputs(j, set.Predictions())
	return nil
}

func (r *Report) addOutputs(j judged, predicted []int) {
	for i, output := range j.outputs {
		if output == "" {
			continue
		}
		r.Generated++
		if strings.HasPrefix(output, dataset.FirstLine(dataset.Labels[predicted[i]])) {
			r.Agree++
		}
	}
	r.Agreement = metrics.Wilson(r.Agree, r.Generated)
	for _, text := range j.long {
		r.Longform = append(r.Longform, metrics.MeasureLongform(text))
	}
}

// addBaselines measures what needs no language model, when there is a train split.
func (r *Report) addBaselines() error {
	e := r.e
	if e.c.Train == "" {
		return nil
	}
	rows, err := dataset.ReadFile(e.c.Train, false)
	if err != nil {
		return err
	}
	rows = slices.DeleteFunc(rows, func(r dataset.Row) bool { return r.Label == "" }) // those only teach to answer
	if len(rows) == 0 {
		return nil
	}
	for _, r := range rows {
		if !slices.Contains(dataset.Labels, r.Label) {
			return fmt.Errorf("%s: row %q: label %q is none of %s", e.c.Train, r.ID, r.Label, strings.Join(dataset.Labels, " "))
		}
	}
	y, counts := labelIndices(rows), make([]int, len(dataset.Labels))
	texts := make([]string, len(rows))
	for i, row := range rows {
		texts[i] = row.PromptText()
		counts[y[i]]++
	}
	majority, most := make([]int, len(e.rows)), metrics.Argmax(floats(counts))
	for i := range majority {
		majority[i] = most
	}
	r.Majority = &Baseline{metrics.Classify(dataset.Labels, e.y, majority), dataset.Labels[most]}
	model := ngram.Fit(texts, y, len(dataset.Labels))
	guesses := make([]int, len(e.rows))
	for i, row := range e.rows {
		guesses[i] = metrics.Argmax(model.Probs(row.PromptText()))
	}
	r.Ngram = &Baseline{Classification: metrics.Classify(dataset.Labels, e.y, guesses)}
	r.Comparisons["ngram"] = metrics.Compare(dataset.Labels, e.y, guesses, r.predictions[tuned], e.resamples)
	return nil
}

func floats(counts []int) []float64 {
	out := make([]float64, len(counts))
	for i, c := range counts {
		out[i] = float64(c)
	}
	return out
}
