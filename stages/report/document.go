package report

import (
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"math"
	"os"
	"path/filepath"
	"strings"
)

// document is the report before it is written in one of two languages.
type document struct {
	title    string
	facts    map[string]string
	sections []section
	numbers  []Number

	// eval is what evaluation has read; nil before.
	eval       *evalFile
	evalSource source
}

// Number is one number of the report and where it comes from.
type Number struct {
	Name   string  `json:"name"`
	Value  float64 `json:"value"`
	Stage  string  `json:"stage"`
	Output string  `json:"output"`
	SHA256 string  `json:"sha256"` // of the artifact
}

// section is a heading with blocks below it.
type section struct {
	heading string
	blocks  []block
}

// block is a paragraph, a table, a figure or a text as it is: the field that is set.
type block struct {
	text   []cell
	table  *table
	figure *figure
	quote  string
}

type table struct {
	heading []string
	rows    [][]cell
}

type figure struct{ caption, svg string }

// cell is text, or a number of the report as it is shown, or the state of something.
type cell struct {
	text   string
	number string // name of the number, "" for plain text
	state  state
}

// state tells what ran well, what failed and what did not run apart.
type state string

const (
	passed  state = "passed"
	failed  state = "failed"
	skipped state = "not run"
)

// marks stand before a state in both languages, so that it shows without colours.
var marks = map[state]string{passed: "✔", failed: "✘", skipped: "○"}

func text(format string, args ...any) cell { return cell{text: fmt.Sprintf(format, args...)} }

func (d *document) add(heading string, blocks ...block) {
	d.sections = append(d.sections, section{heading, blocks})
}

func paragraph(cells ...cell) block { return block{text: cells} }

func (t *table) row(cells ...cell) { t.rows = append(t.rows, cells) }

// source is an artifact that numbers are read from.
type source struct {
	stage, output, sha256 string
	doc                   *document
}

// open reads a JSON artifact into v.
func (d *document) open(stage, output, path string, v any) (source, error) {
	raw, err := os.ReadFile(path)
	if err != nil {
		return source{}, fmt.Errorf("reading output %s of stage %s: %w", output, stage, err)
	}
	if v != nil {
		if err := json.Unmarshal(raw, v); err != nil {
			return source{}, fmt.Errorf("reading output %s of stage %s (%s): %w", output, stage, filepath.Base(path), err)
		}
	}
	sum := sha256.Sum256(raw)
	return source{stage, output, hex.EncodeToString(sum[:]), d}, nil
}

// number records a value under stage.name and shows it in the given format.
func (s source) number(name string, value float64, format string) cell {
	if math.IsNaN(value) || math.IsInf(value, 0) {
		return text("not a number")
	}
	full := s.stage + "." + name
	s.doc.numbers = append(s.doc.numbers, Number{full, value, s.stage, s.output, s.sha256})
	return cell{text: strings.ReplaceAll(fmt.Sprintf(format, value), "-0.0000", "0.0000"), number: full}
}

// points is number for a difference of two shares, shown in points of a percent.
func (s source) points(name string, value *float64) cell {
	if value == nil {
		return text("undefined")
	}
	c := s.number(name, *value, "%v")
	c.text = fmt.Sprintf("%+.1f points", 100**value)
	return c
}

// percent is number for a share, shown in percent; the recorded value is the share.
func (s source) percent(name string, value *float64) cell {
	if value == nil {
		return text("undefined")
	}
	c := s.number(name, *value, "%v")
	c.text = fmt.Sprintf("%.1f %%", 100**value)
	return c
}

// count is number for a whole number.
func (s source) count(name string, value int) cell { return s.number(name, float64(value), "%.0f") }
