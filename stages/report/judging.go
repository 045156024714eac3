package report

import (
	"fmt"

	"github.com/so8t/so8t/stages/internal/metrics"
	"github.com/so8t/so8t/stages/internal/plot"
)

// evalFile is the part of eval's metrics that is shown.
type evalFile struct {
	N              int
	Labels         []string
	Temperature    float64
	AllowThreshold float64 `json:"allow_threshold"`
	Models         map[string]struct {
		metrics.Classification
		metrics.Calibration
		After          metrics.Calibration
		Decision       metrics.Classification
		Intervals      map[string]metrics.Percentile
		IntervalsAfter map[string]metrics.Percentile `json:"intervals_after"`
	}
	Comparisons     map[string]metrics.Comparison
	Majority, Ngram *struct {
		metrics.Classification
		Label string
	}
	Agree     int `json:"output_agreement_count"`
	Generated int
	Longform  []metrics.Longform
}

// evaluation reads eval's metrics, which two sections show, once.
func (d *document) evaluation(path string) (source, *evalFile, error) {
	if d.eval == nil {
		var e evalFile
		s, err := d.open("eval", "metrics", path, &e)
		if err != nil {
			return source{}, nil, err
		}
		d.eval, d.evalSource = &e, s
	}
	return d.evalSource, d.eval, nil
}

// addVerdict puts what most want to know first.
func addVerdict(d *document, c Config) error {
	if c.Metrics == "" {
		d.add("In short", d.notRun("eval"))
		return nil
	}
	s, e, err := d.evaluation(c.Metrics)
	if err != nil {
		return err
	}
	m := e.Models["tuned"]
	t := &table{heading: []string{"", "Value", "95 % interval"}}
	t.row(text("accuracy on the test split"), s.percent("accuracy", &m.Accuracy), wilson(s, "accuracy", m.Wilson95["accuracy"]))
	t.row(text("false allows, of rows that must not be allowed"), s.percent("false_allow_rate", m.FalseAllowRate), wilson(s, "false_allow_rate", m.Wilson95["false_allow_rate"]))
	t.row(text("the same for the calibrated decision"), s.percent("decision_false_allow_rate", m.Decision.FalseAllowRate), wilson(s, "decision_false_allow_rate", m.Decision.Wilson95["false_allow_rate"]))
	t.row(text("accuracy of the calibrated decision"), s.percent("decision_accuracy", &m.Decision.Accuracy), wilson(s, "decision_accuracy", m.Decision.Wilson95["accuracy"]))
	blocks := []block{paragraph(s.count("rows", e.N), text(" test rows, judged by the exported file.")), {table: t}}
	if b, ok := e.Comparisons["base"]; ok {
		blocks = append(blocks, paragraph(text("Against the untouched base: accuracy "), s.points("gain_over_base", b.Difference["accuracy"]),
			text(" (McNemar p "), s.number("mcnemar_p_base", b.McNemarP, "%.2g"), text(").")))
	}
	d.add("In short", blocks...)
	return nil
}

// wilson is the interval of a share.
func wilson(s source, name string, i *metrics.Interval) cell {
	if i == nil {
		return text("undefined")
	}
	low := s.number(name+".lo", i[0], "%v")
	s.number(name+".hi", i[1], "%v")
	low.text = fmt.Sprintf("%.1f – %.1f %%", 100*i[0], 100*i[1])
	return low
}

// addCalibration shows what the temperature did on the calibration split.
func addCalibration(d *document, c Config) error {
	if c.Calibration == "" {
		d.add("Calibration", d.notRun("calibrate"))
		return nil
	}
	var r struct {
		N             int
		MaxFalseAllow float64 `json:"max_false_allow"`
		Temperature   struct {
			Temperature    float64
			AllowThreshold float64 `json:"allow_threshold"`
			Warnings       []string
		}
		WarningTexts   []string `json:"warning_texts"`
		Before, After  metrics.Calibration
		Intervals      map[string]metrics.Percentile
		IntervalsAfter map[string]metrics.Percentile `json:"intervals_after"`
	}
	s, err := d.open("calibrate", "report", c.Calibration, &r)
	if err != nil {
		return err
	}
	t := calibrationTable(s, "", r.Before, r.After, r.Intervals, r.IntervalsAfter)
	blocks := []block{
		paragraph(text("Temperature "), s.number("temperature", r.Temperature.Temperature, "%.3f"), text(", fitted on "), s.count("rows", r.N),
			text(" rows. ALLOW is decided only above a probability of "), s.number("allow_threshold", r.Temperature.AllowThreshold, "%.3f"),
			text(", which is to let at most "), s.percent("max_false_allow", &r.MaxFalseAllow), text(" of the rows through that must not be allowed.")),
		{table: t},
	}
	warnings := r.WarningTexts
	if warnings == nil {
		warnings = r.Temperature.Warnings
	}
	for _, w := range warnings {
		blocks = append(blocks, paragraph(text("Warning: %s.", w)))
	}
	blocks = append(blocks, block{figure: &figure{"reliability on the calibration split, before the temperature", reliability(s, "before", "reliability before", r.Before.Bins)}},
		block{figure: &figure{"and after it", reliability(s, "after", "reliability after", r.After.Bins)}})
	d.add("Calibration", blocks...)
	return nil
}

// calibrationTable shows how far probabilities can be believed, at temperature 1 and at the
// fitted one.
func calibrationTable(s source, prefix string, before, after metrics.Calibration, spanBefore, spanAfter map[string]metrics.Percentile) *table {
	t := &table{heading: []string{"", "Before", "95 %", "After", "95 %"}}
	for _, row := range []struct {
		name, title   string
		before, after float64
	}{
		{"nll", "negative log-likelihood", before.NLL, after.NLL}, {"ece", "expected calibration error", before.ECE, after.ECE},
		{"ece_mass", "the same with bins of equal mass", before.ECEMass, after.ECEMass}, {"brier", "Brier score (0 – 2)", before.Brier, after.Brier},
	} {
		p := prefix + row.name
		t.row(text("%s", row.title), s.number(p+".before", row.before, "%.4f"), span(s, p+".before", spanBefore[row.name]),
			s.number(p+".after", row.after, "%.4f"), span(s, p+".after", spanAfter[row.name]))
	}
	return t
}

// span is an interval of something that is no share.
func span(s source, name string, p metrics.Percentile) cell {
	if p.Lo == nil {
		return text("")
	}
	low := s.number(name+".lo", *p.Lo, "%v")
	s.number(name+".hi", *p.Hi, "%v")
	low.text = fmt.Sprintf("%.4f – %.4f", *p.Lo, *p.Hi)
	return low
}

// reliability draws a diagram and records what stands in it.
func reliability(s source, name, label string, bins []metrics.Bin) string {
	out := make([]plot.Bin, 0, len(bins))
	for _, b := range bins {
		p := plot.Bin{N: b.N}
		s.count(fmt.Sprintf("%s.bin%d", name, b.Bin), b.N)
		if b.Lo != nil && b.Hi != nil {
			p.Lo, p.Hi = *b.Lo, *b.Hi
		}
		if b.N > 0 {
			p.Accuracy, p.Confidence = *b.Acc, *b.Conf
		}
		out = append(out, p)
	}
	return plot.Reliability(label, out)
}

// modelTitles are the measured models in the order in which they are shown.
var modelTitles = []struct{ name, title string }{
	{"tuned", "tuned, as exported"}, {"nogate", "tuned, gates zeroed"}, {"base", "untouched base"},
}

// addEvaluation shows all models and baselines side by side.
func addEvaluation(d *document, c Config) error {
	if c.Metrics == "" {
		d.add("Evaluation", d.notRun("eval"))
		return nil
	}
	s, e, err := d.evaluation(c.Metrics)
	if err != nil {
		return err
	}
	tuned := e.Models["tuned"]
	for i, label := range e.Labels {
		for j, predicted := range e.Labels {
			s.count("confusion."+label+"."+predicted, tuned.Confusion[i][j]) // shown in the figure
		}
	}
	d.add("Evaluation", block{table: modelTable(s, e)}, block{table: comparisonTable(s, e)},
		paragraph(text("The exported model's probabilities on the test split, before and after the temperature:")),
		block{table: calibrationTable(s, "tuned.calibration.", tuned.Calibration, tuned.After, tuned.Intervals, tuned.IntervalsAfter)},
		block{figure: &figure{"confusion matrix of the exported model (arg max)", plot.Confusion("confusion matrix", e.Labels, tuned.Confusion)}},
		block{figure: &figure{"reliability on the test split at the fitted temperature", reliability(s, "tuned.after", "reliability on test", tuned.After.Bins)}},
		paragraph(generated(s, e)...))
	return nil
}

func modelTable(s source, e *evalFile) *table {
	t := &table{heading: []string{"Model", "Accuracy", "95 %", "Macro F1", "False allows", "DENY recall", "NLL", "ECE", "ECE after"}}
	for _, model := range modelTitles {
		m, ok := e.Models[model.name]
		if !ok {
			t.row(text("%s", model.title), cell{state: skipped}, text(""), text(""), text(""), text(""), text(""), text(""), text(""))
			continue
		}
		p := model.name + "."
		t.row(text("%s", model.title), s.percent(p+"accuracy", &m.Accuracy), interval(s, p+"accuracy", m.Intervals["accuracy"]),
			s.number(p+"macro_f1", m.MacroF1, "%.3f"), s.percent(p+"false_allow_rate", m.FalseAllowRate), s.percent(p+"deny_recall", m.DenyRecall),
			s.number(p+"nll", m.NLL, "%.3f"), s.number(p+"ece", m.ECE, "%.3f"), s.number(p+"ece_after", m.After.ECE, "%.3f"))
	}
	if e.Ngram != nil {
		t.row(text("character n-grams"), s.percent("ngram.accuracy", &e.Ngram.Accuracy), wilson(s, "ngram.accuracy", e.Ngram.Wilson95["accuracy"]), s.number("ngram.macro_f1", e.Ngram.MacroF1, "%.3f"),
			s.percent("ngram.false_allow_rate", e.Ngram.FalseAllowRate), s.percent("ngram.deny_recall", e.Ngram.DenyRecall), text(""), text(""), text(""))
	}
	if e.Majority != nil {
		t.row(text("always %s", e.Majority.Label), s.percent("majority.accuracy", &e.Majority.Accuracy), wilson(s, "majority.accuracy", e.Majority.Wilson95["accuracy"]), text(""), text(""), text(""), text(""), text(""), text(""))
	}
	return t
}

func interval(s source, name string, p metrics.Percentile) cell {
	if p.Lo == nil {
		return text("")
	}
	low := s.number(name+".lo", *p.Lo, "%v")
	s.number(name+".hi", *p.Hi, "%v")
	low.text = fmt.Sprintf("%.1f – %.1f %%", 100**p.Lo, 100**p.Hi)
	return low
}

// pointsSpan is an interval of a difference of shares.
func pointsSpan(s source, name string, p metrics.Percentile) cell {
	low := interval(s, name, p)
	if p.Lo != nil {
		low.text = fmt.Sprintf("%+.1f – %+.1f points", 100**p.Lo, 100**p.Hi)
	}
	return low
}

// comparisonTable credits a difference only with its interval.
func comparisonTable(s source, e *evalFile) *table {
	t := &table{heading: []string{"Tuned against", "Accuracy gained", "95 %", "Only tuned right", "Only the other right", "McNemar p"}}
	for _, other := range []struct{ name, title string }{{"base", "untouched base"}, {"nogate", "itself without gates"}, {"ngram", "character n-grams"}} {
		c, ok := e.Comparisons[other.name]
		if !ok {
			continue
		}
		p := "versus_" + other.name + "."
		t.row(text("%s", other.title), s.points(p+"accuracy", c.Difference["accuracy"]), pointsSpan(s, p+"accuracy", c.PairedBootstrap["accuracy"]),
			s.count(p+"only_tuned", c.OnlyBRight), s.count(p+"only_other", c.OnlyARight), s.number(p+"mcnemar_p", c.McNemarP, "%.2g"))
	}
	return t
}

func generated(s source, e *evalFile) []cell {
	if e.Generated == 0 {
		return []cell{text("No answers were generated.")}
	}
	share := float64(e.Agree) / float64(e.Generated)
	loops := 0
	for _, l := range e.Longform {
		if l.Oscillation {
			loops++
		}
	}
	return []cell{
		text("Of "), s.count("generated", e.Generated), text(" generated answers "), s.percent("output_agreement", &share),
		text(" begin with the label that scored highest. Of "), s.count("long", len(e.Longform)), text(" answers forced to go on, "),
		s.count("oscillating", loops), text(" run in circles."),
	}
}
