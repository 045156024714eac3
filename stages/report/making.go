package report

import (
	"bufio"
	"bytes"
	"encoding/json"
	"fmt"
	"math"
	"os"

	"github.com/so8t/so8t/stages/internal/plot"
)

// addData shows the splits and what they give away.
func addData(d *document, c Config) error {
	if c.Stats == "" {
		d.add("Data", d.notRun("data"))
		return nil
	}
	var stats struct {
		Source string
		Rows   int
		Unique int `json:"unique_rows"`
		Splits map[string]struct {
			Rows, Templates, Topics int
			Labels                  map[string]int
		}
		Leaks map[string]struct {
			Exact, Template, Topic int
			MaxOverlap             float64 `json:"max_overlap"`
		}
	}
	s, err := d.open("data", "stats", c.Stats, &stats)
	if err != nil {
		return err
	}
	t := &table{heading: []string{"Split", "Rows", "ALLOW", "ESCALATION", "DENY", "Templates", "Topics", "Rows that train gives away"}}
	for _, name := range []string{"train", "validation", "calibration", "test"} {
		split := stats.Splits[name]
		leak := text("–")
		if l, ok := stats.Leaks[name]; ok {
			leak = s.count(name+".leaks", l.Exact+l.Template+l.Topic)
		}
		t.row(text("%s", name), s.count(name+".rows", split.Rows), s.count(name+".allow", split.Labels["ALLOW"]),
			s.count(name+".escalation", split.Labels["ESCALATION"]), s.count(name+".deny", split.Labels["DENY"]),
			s.count(name+".templates", split.Templates), s.count(name+".topics", split.Topics), leak)
	}
	d.add("Data", paragraph(text("Rows from the %s: ", stats.Source), s.count("rows", stats.Rows), text(", different prompts among them: "), s.count("unique_rows", stats.Unique), text(".")),
		block{table: t})
	return nil
}

// curvePoint is a line of the train stage's curve.
type curvePoint struct {
	Step     float64
	Loss, CE float64
	PET, LR  float64
	EvalLoss *float64 `json:"eval_loss"`
}

// addTraining draws the loss.
func addTraining(d *document, c Config) error {
	if c.Curve == "" {
		d.add("Training", d.notRun("train"))
		return nil
	}
	s, err := d.open("train", "curve", c.Curve, nil)
	if err != nil {
		return err
	}
	points, err := readCurve(c.Curve)
	if err != nil {
		return err
	}
	loss, eval := plot.Series{Name: "training"}, plot.Series{Name: "validation", Dots: true}
	var first, last *float64
	best := math.Inf(1)
	for _, p := range points {
		loss.X, loss.Y = append(loss.X, p.Step), append(loss.Y, p.CE)
		if p.EvalLoss != nil {
			eval.X, eval.Y = append(eval.X, p.Step), append(eval.Y, *p.EvalLoss)
			if first == nil {
				first = p.EvalLoss
			}
			last, best = p.EvalLoss, min(best, *p.EvalLoss)
		}
	}
	end := points[len(points)-1]
	t := &table{heading: []string{"", "First", "Last", "Best"}}
	t.row(text("training loss (nats a token)"), s.number("first_ce", points[0].CE, "%.4f"), s.number("last_ce", end.CE, "%.4f"), text(""))
	if last != nil {
		t.row(text("validation loss"), s.number("first_eval_loss", *first, "%.4f"), s.number("last_eval_loss", *last, "%.4f"), s.number("best_eval_loss", best, "%.4f"))
	}
	t.row(text("PET (1 = white noise)"), s.number("first_pet", points[0].PET, "%.4f"), s.number("last_pet", end.PET, "%.4f"), text(""))
	blocks := []block{
		paragraph(s.number("steps", end.Step, "%.0f"), text(" optimiser steps.")), {table: t},
		{figure: &figure{"loss against step", plot.Lines("loss curve", "step", "nats a token", loss, eval)}},
	}
	sample, err := sampleBlocks(d, c.Sample)
	if err != nil {
		return err
	}
	d.add("Training", append(blocks, sample...)...)
	return nil
}

func readCurve(path string) ([]curvePoint, error) {
	raw, err := os.ReadFile(path)
	if err != nil {
		return nil, fmt.Errorf("reading the curve: %w", err)
	}
	var points []curvePoint
	for lines := bufio.NewScanner(bytes.NewReader(raw)); lines.Scan(); {
		var p curvePoint
		if err := json.Unmarshal(lines.Bytes(), &p); err != nil {
			return nil, fmt.Errorf("reading line %d of the curve: %w", len(points)+1, err)
		}
		points = append(points, p)
	}
	if len(points) == 0 {
		return nil, fmt.Errorf("reading the curve %q: it is empty", path)
	}
	return points, nil
}
