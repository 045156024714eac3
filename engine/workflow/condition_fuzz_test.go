package workflow

import (
	"flag"
	"runtime"
	"strings"
	"testing"
	"time"
	"unicode/utf8"
)

// checkSpent: a second is what the slowest input may take on an idle machine, so it is asked for only
// where inputs are looked for.
func checkSpent(t *testing.T, start time.Time, size int) {
	t.Helper()
	worker := flag.Lookup("test.fuzzworker")
	if took := time.Since(start); worker != nil && worker.Value.String() == "true" && took > time.Second {
		t.Errorf("took %v for %d bytes", took, size)
	}
}

// conditionDocument is a workflow that conditions can be read in, and its stage b.
func conditionDocument() (*document, *Stage) {
	d := newDocument("w.yaml", Options{})
	d.stages["a"] = &Stage{Name: "a", Spec: &PluginSpec{Metrics: []string{"loss"}, ReportsMetrics: true}}
	d.stages["train"] = &Stage{Name: "train", matrix: matrix{axes: []axis{{name: "r", values: []MatrixValue{{"r", &Value{Kind: Int, Int: 8}, "8"}}}}}}
	d.params["n"] = &param{Param: Param{Name: "n"}, value: &Value{Kind: Int, Int: 3}}
	d.params["text"] = &param{Param: Param{Name: "text"}, value: &Value{Kind: Text, Text: strings.Repeat("x", maxOperand)}}
	return d, &Stage{Name: "b"}
}

// longConditions are texts on which a parser that only recurses, or a checker that looks at shared
// parts anew, has no end.
var longConditions = map[string]string{
	"parentheses":       strings.Repeat("(", 100_000),
	"parentheses, some": strings.Repeat("(", 2000) + "true" + strings.Repeat(")", 2000),
	"nots":              strings.Repeat("!", 4000) + "true",
	"minuses":           "1 < " + strings.Repeat("-", 4000) + "1",
	"and":               strings.Repeat("true && ", 500) + "true",
	"and, long":         strings.Repeat("params.n > 1 && ", 100_000) + "true",
	"comparisons":       strings.Repeat("1<(", 500) + "1" + strings.Repeat("<2)<3", 500),
	"ternaries":         strings.Repeat("true ? true : ", 250) + "true",
	"powers":            "1 < " + strings.Repeat("2**", 1000) + "2",
	"brackets":          strings.Repeat("[", 4000),
	"elements":          "params.n" + strings.Repeat("[0]", 1300) + " == 1",
	"members":           "params.n" + strings.Repeat(".x", 1900) + " == 1",
	"range":             "1..1000000000 == [1]",
	"range, negative":   "-9223372036854775807..9223372036854775807 == [1]",
	"range, made":       "len(1..(params.n * 1000000000)) == 1",
	"texts":             "len(" + strings.TrimSuffix(strings.Repeat("params.text+", 330), "+") + ") == 1",
	"pattern":           `params.text matches "` + strings.Repeat("(x{1000})", 28) + `y"`,
	"predicates":        strings.Repeat("sum([1], ", 200) + "1" + strings.Repeat(")", 200) + " == 1",
}

// No condition costs much, neither to check nor to ask.
func TestConditionsAreBounded(t *testing.T) {
	for name, text := range longConditions {
		t.Run(name, func(t *testing.T) {
			var before, after runtime.MemStats
			runtime.ReadMemStats(&before)
			askCondition(t, text)
			runtime.ReadMemStats(&after)
			// All that is allocated, most of it in turn: adding 300 texts of 4 KB copies 200 MB.
			if mib := (after.TotalAlloc - before.TotalAlloc) >> 20; mib > 300 {
				t.Errorf("allocated %d MiB", mib)
			}
		})
	}
}

// askCondition checks a condition and, when there is nothing wrong with it, asks it.
func askCondition(t *testing.T, text string) {
	t.Helper()
	d, s := conditionDocument()
	at := Pos{"w.yaml", 1, 1}
	c := d.expression(&node{kind: scalarNode, quoted: true, raw: true, text: text, pos: at, own: at}, s, "when", false)
	if (c == nil) != (len(d.report.problems) > 0) {
		t.Fatalf("condition %v, problems %v", c, d.report.problems)
	}
	for _, p := range d.report.problems {
		if p.Col < 1 || p.Col > utf8.RuneCountInString(text)+1 {
			t.Errorf("outside the text: %v", p)
		}
		if strings.Contains(p.Message, "cannot be") {
			t.Errorf("the library gives up: %v", p)
		}
	}
	if c == nil {
		return
	}
	_, _, err := c.Eval(nil, func(r Reading) (any, error) {
		switch {
		case r.Kind == ReadOutcome && r.Collected:
			return []string{"failed"}, nil
		case r.Kind == ReadOutcome:
			return "failed", nil
		case r.Kind == ReadMetric && r.Collected:
			return []float64{1, 2}, nil
		case r.Kind == ReadMetric:
			return 0.5, nil
		}
		return true, nil
	})
	if err != nil && strings.Contains(err.Error(), "nil pointer") {
		t.Errorf("%q: %v", text, err)
	}
}

// FuzzCondition: no expression makes the package panic, hang, or neither give a condition nor say
// what is wrong with it.
func FuzzCondition(f *testing.F) {
	for _, text := range longConditions {
		if len(text) < 2*maxExpression {
			f.Add(text)
		}
	}
	for _, text := range []string{
		`stages.a.metrics.loss < 2 and not ("failed" in stages.train.outcome)`, `stages["a"].outcome == "failed" ? failure() : success()`,
		`params.n in 1..5 || params.text startsWith "x"`, `min(stages.train.metrics.loss, 3) >= 1e3`, `a?.b ?? c`, `"日本" == "\u{65e5}"`,
		"`raw` matches '^r'", `b"bytes"[0] == 1`, `$env`, `::now()`, `params.n | round()`, `if true { true } else { false }`, `let x = 1; x`,
		"true // comment", "/* */ true", `{a: 1}`, `#`, `x not in [1]`,
	} {
		f.Add(text)
	}
	f.Fuzz(func(t *testing.T, text string) {
		start := time.Now()
		askCondition(t, text)
		checkSpent(t, start, len(text))
	})
}
