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

// addBake shows the proof that the folded model is the trained one.
func addBake(d *document, c Config) error {
	if c.Bake == "" {
		d.add("Bake", d.notRun("bake"))
		return nil
	}
	var r struct {
		LayersFolded  int `json:"layers_folded"`
		ModulesMerged int `json:"modules_merged"`
		DType         string
		CastError     float64 `json:"cast_error"`
		Proof         struct {
			Positions      int
			MaxError       float64 `json:"max_error"`
			RelativeError  float64 `json:"relative_error"`
			WithoutAdapter float64 `json:"without_adapter"`
		}
		Layers []struct {
			Layer         int
			Orthogonality float64 `json:"orthogonality_error"`
			MeanAngle     float64 `json:"mean_angle"`
			MaxAngle      float64 `json:"max_angle"`
		}
	}
	s, err := d.open("bake", "report", c.Bake, &r)
	if err != nil {
		return err
	}
	t := &table{heading: []string{"Layer", "Mean angle (rad)", "Largest angle", "|RᵀR − I|"}}
	for _, l := range r.Layers {
		p := fmt.Sprintf("layer%d.", l.Layer)
		t.row(text("%d", l.Layer), s.number(p+"mean_angle", l.MeanAngle, "%.3f"), s.number(p+"max_angle", l.MaxAngle, "%.3f"), s.number(p+"orthogonality_error", l.Orthogonality, "%.1e"))
	}
	d.add("Bake",
		paragraph(cell{state: passed}, text(" — LoRA merged in "), s.count("modules_merged", r.ModulesMerged), text(" projections, "), s.count("layers_folded", r.LayersFolded),
			text(" gates folded. Over "), s.count("positions", r.Proof.Positions), text(" positions the logits of the baked model differ from the trained one by at most "),
			s.number("max_error", r.Proof.MaxError, "%.1e"), text(" ("), s.number("relative_error", r.Proof.RelativeError, "%.1e"),
			text(" of their range); without the adapter they differ by "), s.number("without_adapter", r.Proof.WithoutAdapter, "%.3g"),
			text(". Casting to %s changes the weights by ", r.DType), s.number("cast_error", r.CastError, "%.1e"), text(" (relative).")),
		block{table: t})
	return nil
}

// addGGUF shows the exported files.
func addGGUF(d *document, c Config) error {
	t := &table{heading: []string{"Stage", "Type", "Size (bytes)", "Bits a weight", "Relative error of the weights", "KL (nats)", "KL at most", "Same top"}}
	for _, name := range names(c.GGUF) {
		if c.GGUF[name] == "" {
			t.row(text("%s", name), d.stateOf(name, ""), text(""), text(""), text(""), text(""), text(""), text(""))
			continue
		}
		var r struct {
			Type          string
			Bytes         int
			BitsPerWeight float64 `json:"bits_per_weight"`
			WeightError   float64 `json:"weight_error"`
			Divergence    *struct {
				MeanKL  float64 `json:"mean_kl"`
				MaxKL   float64 `json:"kl_limit"`
				SameTop float64 `json:"same_top"`
			}
		}
		s, err := d.open(name, "report", c.GGUF[name], &r)
		if err != nil {
			return err
		}
		kl, limit, top := text("not measured"), text(""), text("")
		if v := r.Divergence; v != nil {
			kl, limit, top = s.number("divergence.mean_kl", v.MeanKL, "%.2g"), s.number("divergence.kl_limit", v.MaxKL, "%.2g"), s.number("divergence.same_top", v.SameTop, "%.4f")
		}
		t.row(text("%s", name), text("%s", r.Type), s.count("bytes", r.Bytes), s.number("bits_per_weight", r.BitsPerWeight, "%.2f"), s.number("weight_error", r.WeightError, "%.1e"), kl, limit, top)
	}
	if len(t.rows) == 0 {
		d.add("GGUF files", d.notRun("gguf"))
		return nil
	}
	d.add("GGUF files", block{table: t})
	return nil
}

// addOllama shows what a real server said.
func addOllama(d *document, c Config) error {
	if c.Ollama == "" {
		d.add("Served by Ollama", d.notRun("ollama"))
		return nil
	}
	var r struct {
		Version        string
		NumCtx         int `json:"num_ctx"`
		Passed, Failed int
		Tests          []struct {
			Name, Prompt, Expected, Output, Why string
			Required, Passed                    bool
		}
	}
	s, err := d.open("ollama", "report", c.Ollama, &r)
	if err != nil {
		return err
	}
	t := &table{heading: []string{"Test", "Prompt", "Expected", "Answer", "Result"}}
	for _, test := range r.Tests {
		result := cell{state: failed, text: test.Why}
		if test.Passed {
			result = cell{state: passed}
		}
		name := test.Name
		if test.Required {
			name += " (required)"
		}
		t.row(text("%s", name), text("%s", test.Prompt), text("%s", test.Expected), text("%s", clip(test.Output, 160)), result)
	}
	d.add("Served by Ollama", paragraph(text("Ollama %s, context ", r.Version), s.count("num_ctx", r.NumCtx), text(" tokens; the template and the token counts are those of training. "),
		s.count("passed", r.Passed), text(" tests passed, "), s.count("failed", r.Failed), text(" failed.")), block{table: t})
	return nil
}

func clip(s string, n int) string {
	r := []rune(s)
	if len(r) <= n {
		return s
	}
	return string(r[:n]) + "…"
}
