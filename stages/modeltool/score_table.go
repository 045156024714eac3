package modeltool

import (
	"fmt"
	"io"
	"strconv"
	"strings"
	"text/tabwriter"

	"github.com/so8t/so8t/stages/internal/metrics"
)

// write is the short form for people.
func (r scoreReport) write(out io.Writer) error {
	t := tabwriter.NewWriter(out, 0, 0, 2, ' ', 0)
	line := func(cells ...string) { _, _ = fmt.Fprintln(t, strings.Join(cells, "\t")) } // Flush reports
	line("METRIC", "VALUE", "95 % INTERVAL", "")
	for _, m := range []struct {
		name  string
		value *float64
		note  string
	}{
		{"accuracy", &r.Accuracy, ""},
		{"macro_f1", &r.MacroF1, ""},
		{"false_allow_rate", r.FalseAllowRate, share(r.FalseAllow)},
		{"deny_recall", r.DenyRecall, ""},
		{"nll", &r.NLL, ""},
		{"brier", &r.Brier, ""},
		{"ece", &r.ECE, ""},
		{"ece_mass", &r.ECEMass, ""},
		{"mce", &r.MCE, ""},
		{"classwise_ece", &r.ClasswiseECE, ""},
	} {
		interval := ""
		if b, ok := r.Bootstrap[m.name]; ok {
			interval = span(b)
		}
		line(m.name, number(m.value), interval, m.note)
	}
	if temperature := r.Temperature; temperature != nil {
		line("temperature", number(&temperature.T), "",
			fmt.Sprintf("nll %s, ece %s after it", number(&temperature.After.NLL), number(&temperature.After.ECE)))
	}
	line()
	line(append([]string{"TRUE \\ PREDICTED"}, r.Labels...)...)
	for i, row := range r.Confusion {
		cells := []string{r.Labels[i]}
		for _, n := range row {
			cells = append(cells, strconv.Itoa(n))
		}
		line(cells...)
	}
	if err := t.Flush(); err != nil {
		return err
	}
	notes := append([]string{}, r.Warnings...)
	if r.Temperature != nil {
		notes = append(notes, r.Temperature.Warnings...)
	}
	_, err := fmt.Fprintf(out, "\n%d rows, %d resamples", r.N, r.Resamples)
	if err == nil && len(notes) > 0 {
		_, err = fmt.Fprintf(out, "; note %s", strings.Join(notes, ", "))
	}
	if err == nil {
		_, err = fmt.Fprintln(out)
	}
	return err
}

// number writes a value; what is undefined has none.
func number(v *float64) string {
	if v == nil {
		return "undefined"
	}
	return strconv.FormatFloat(*v, 'f', 4, 64)
}

func span(p metrics.Percentile) string {
	if p.Lo == nil || p.Hi == nil {
		return ""
	}
	return number(p.Lo) + " … " + number(p.Hi)
}

func share(c metrics.Count) string { return fmt.Sprintf("%d of %d", c.Count, c.Of) }
