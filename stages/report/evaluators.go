package report

import (
	"bufio"
	"encoding/json"
	"fmt"
	"maps"
	"os"
	"slices"
)

// addEvaluators shows the metrics of custom evaluators: a JSON object of numbers each.
func addEvaluators(d *document, c Config) error {
	if len(c.Evaluators) == 0 && len(c.Scores) == 0 {
		return nil
	}
	t := &table{heading: []string{"Evaluator", "Metric", "Value"}}
	for _, name := range names(c.Evaluators) {
		if c.Evaluators[name] == "" {
			t.row(text("%s", name), d.stateOf(name, ""), text(""))
			continue
		}
		var values map[string]float64
		s, err := d.open(name, "metrics", c.Evaluators[name], &values)
		if err != nil {
			return err
		}
		for _, metric := range slices.Sorted(maps.Keys(values)) {
			t.row(text("%s", name), text("%s", metric), s.number(metric, values[metric], "%.4g"))
		}
	}
	if err := addScores(d, t, c); err != nil {
		return err
	}
	d.add("Custom evaluators", block{table: t})
	return nil
}

// addScores sums up what evaluators made of each row; the rows are in their artifacts.
func addScores(d *document, t *table, c Config) error {
	for _, name := range names(c.Scores) {
		if c.Scores[name] == "" {
			if _, told := c.Evaluators[name]; !told {
				t.row(text("%s", name), d.stateOf(name, ""), text(""))
			}
			continue
		}
		s, err := d.open(name, "scores", c.Scores[name], nil)
		if err != nil {
			return err
		}
		values, err := readScores(c.Scores[name])
		if err != nil {
			return fmt.Errorf("reading output scores of stage %s: %w", name, err)
		}
		t.row(text("%s", name), text("rows with a score"), s.count("scores.rows", len(values)))
		if len(values) == 0 {
			continue
		}
		sum := 0.0
		for _, v := range values {
			sum += v
		}
		t.row(text("%s", name), text("score: mean"), s.number("scores.mean", sum/float64(len(values)), "%.4g"))
		t.row(text("%s", name), text("score: lowest"), s.number("scores.lowest", slices.Min(values), "%.4g"))
		t.row(text("%s", name), text("score: highest"), s.number("scores.highest", slices.Max(values), "%.4g"))
	}
	return nil
}

func readScores(path string) ([]float64, error) {
	file, err := os.Open(path)
	if err != nil {
		return nil, err
	}
	defer file.Close()
	var values []float64
	lines := bufio.NewScanner(file)
	for lines.Scan() {
		var row struct{ Score *float64 }
		if err := json.Unmarshal(lines.Bytes(), &row); err != nil || row.Score == nil {
			return nil, fmt.Errorf("line %d is no row with a score", len(values)+1)
		}
		values = append(values, *row.Score)
	}
	return values, lines.Err()
}
