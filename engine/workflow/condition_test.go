package workflow

import (
	"errors"
	"fmt"
	"strings"
	"testing"
)

func measuring(string) (*PluginSpec, error) {
	return &PluginSpec{Metrics: []string{"loss", "accuracy"}, ReportsMetrics: true}, nil
}

// parseCondition reads a workflow whose stage b has the condition, in a plain or quoted scalar.
func parseCondition(t *testing.T, key, text string) (*Workflow, Problems) {
	t.Helper()
	quoted := "'" + strings.ReplaceAll(text, "'", "''") + "'"
	if key == "gates" {
		quoted = "[" + quoted + "]"
	}
	file := "version: 1\nparams: {n: 3, on: true, name: x, my-p: 1}\nstages:\n" +
		"  a: {uses: m}\n  train: {uses: m, matrix: {r: [8, 16]}}\n  a-b: {uses: m}\n" +
		"  b: {uses: m, matrix: {s: [1, 2]}, " + key + ": " + quoted + "}\n"
	w, err := Parse("w.yaml", []byte(file), Options{Describe: measuring, Plugins: []string{"m"}})
	problems, _ := err.(Problems)
	if err != nil && problems == nil {
		t.Fatal(err)
	}
	return w, problems
}

// offsetOf is where in the expression a problem points.
func offsetOf(p Problem, key string) int {
	start := len("  b: {uses: m, matrix: {s: [1, 2]}, "+key+": '") + 1
	if key == "gates" {
		start++
	}
	return p.Col - start
}

func TestConditionProblems(t *testing.T) {
	for _, c := range []struct {
		key, text, code string
		offset          int // -1: not tested, as the whole value is meant
		say             string
	}{
		{"when", `stages.a.outcome = "failed"`, CodeExpressionSyntax, 17, "compare with =="},
		{"when", `params.on AND params.n > 1`, CodeExpressionSyntax, 10, "write and"},
		{"when", `params.on and`, CodeExpressionSyntax, -1, "ends too early"},
		{"when", `   `, CodeExpressionSyntax, -1, "nothing"},
		{"when", `params.on # note`, CodeExpressionSyntax, -1, "expression"},
		{"when", `"日本" == params.nme`, CodeUnknownParam, 15, `"name"`},
		{"when", `params["my-q"] > 1`, CodeUnknownParam, 7, `"my-p"`},
		{"when", `params.my-p > 1`, CodeUnknownParam, 7, `no parameter "my"`},
		{"when", `matrix.t == 1`, CodeUnknownMatrix, 7, `"s"`},
		{"when", `stages.b2.outcome == "failed"`, CodeUnknownStage, 7, ""},
		{"when", `stages.a-b.outcome == "failed"`, CodeExpressionSyntax, 7, `stages["a-b"]`},
		{"when", `stages.a-c.outcome == "failed"`, CodeExpressionSyntax, 7, `stages["my-stage"]`},
		{"when", `stages.q-b.outcome == "failed"`, CodeUnknownStage, 7, `stages["my-stage"]`},
		{"when", `stages["a-c"].outcome == "failed"`, CodeUnknownStage, 7, `"a-b"`},
		{"when", `stages.a.metrics.lost < 1`, CodeUnknownMetric, 17, `"loss"`},
		{"when", `stages.a.metrics["lost"] < 1`, CodeUnknownMetric, 17, `"loss"`},
		{"when", `stages.a.result == "x"`, CodeUnknownName, 9, "outcome, metrics"},
		{"when", `stages.a.metrics.loss.best < 1`, CodeUnknownName, 22, "best"},
		{"when", `stages.a.outcome.code == 1`, CodeUnknownName, 17, "code"},
		{"when", `stages.a == nil`, CodeExpressionSyntax, 0, "stages.STAGE.outcome"},
		{"when", `len(stages) > 1`, CodeExpressionSyntax, 4, "stages.STAGE.outcome"},
		{"when", `stages[params.name].outcome == "failed"`, CodeUnknownName, 20, ""},
		{"when", `stages[params.name] == "failed"`, CodeExpressionSyntax, 6, "written out"},
		{"when", `loss < 1`, CodeUnknownName, 0, "params, matrix, stages"},
		{"when", `secrets.TOKEN == "x"`, CodeUnknownName, 0, ""},
		{"when", `$env.x == "x"`, CodeUnknownName, 0, ""},
		{"when", `Params.on`, CodeUnknownName, 0, `"params"`},
		{"when", `sucess`, CodeUnknownName, 0, ""},
		{"when", `success and params.on`, CodeUnknownName, 0, "success()"},
		{"when", `stages.a.outcome == failed`, CodeUnknownName, 20, `"failed"`},
		{"when", `a.outcome == "failed"`, CodeUnknownName, 0, "stages.a"},
		{"when", `failure() and now() > 1`, CodeUnknownFunction, 14, "no function"},
		{"when", `any(stages.train.outcome, # == "failed")`, CodeUnknownFunction, 0, "no function"},
		{"when", `sum(stages.train.metrics.loss, # * 2) > 1`, CodeExpressionSyntax, 31, "predicates"},
		{"when", `stages.a.outcome.matches("x")`, CodeUnknownFunction, 17, "no function"},
		{"when", `succes("a")`, CodeUnknownFunction, 0, `"success"`},
		{"when", `success("a")`, CodeWrongType, 0, "takes nothing"},
		{"when", `let x = 1; x > 2`, CodeExpressionSyntax, -1, "variables"},
		{"when", `{a: 1}.a == 1`, CodeUnknownName, 7, ""},
		{"when", `stages.a.outcome == "success"`, CodeBadEnum, 20, "succeeded"},
		{"when", `stages.a.outcome in ["failed", "skiped"]`, CodeBadEnum, 31, `"skipped"`},
		{"when", `"fail" in stages.train.outcome`, CodeBadEnum, 0, `"failed"`},
		{"when", `stages.a.metrics.loss`, CodeWrongType, -1, "true or false"},
		{"when", `nil`, CodeWrongType, -1, "true or false"},
		{"when", `params.name > 3`, CodeWrongType, 12, "text and int"},
		{"when", `stages.train.metrics.loss < 2`, CodeWrongType, 26, "min(…)"},
		{"when", `stages.train.outcome == "failed"`, CodeWrongType, 21, `"failed" in`},
		{"when", `params.n and true`, CodeWrongType, 9, "int"},
		{"when", `round(params.name) > 1`, CodeWrongType, 0, "round"},
		{"when", `1..1000000000 == [1]`, CodeOutOfRange, 1, "range"},
		{"when", `params.name matches params.name`, CodeExpressionSyntax, 12, "written out"},
		{"when", `params.name matches "("`, CodeExpressionSyntax, 20, "missing"},
		{"gates", `los < 1`, CodeUnknownMetric, 0, `"loss"`},
		{"gates", `stages.a.metrics.loss < 1`, CodeUnknownMetric, 0, "bare name"},
		{"gates", `metrics.loss < 1`, CodeUnknownMetric, 0, "bare name"},
		{"gates", `success()`, CodeUnknownFunction, 0, "after it succeeded"},
		{"gates", `loss`, CodeWrongType, -1, "true or false"},
		{"gates", `loss.best < 1`, CodeUnknownName, 5, "bare name"},
		{"gates", `loss < params.m`, CodeUnknownParam, 14, `"n"`},
		{"gates", `los < 1 or acuracy > 1`, CodeUnknownMetric, 0, `"loss"`},
	} {
		t.Run(c.text, func(t *testing.T) {
			_, problems := parseCondition(t, c.key, c.text)
			if len(problems) == 0 || problems[0].Code != c.code || !strings.Contains(problems[0].Message+" "+problems[0].Hint, c.say) {
				t.Fatalf("%q: want %s saying %q, got %v", c.text, c.code, c.say, codesOf(problems))
			}
			if at := offsetOf(problems[0], c.key); c.offset >= 0 && at != c.offset {
				t.Errorf("%q: points at %d, not %d", c.text, at, c.offset)
			}
			if want := 1 + strings.Count(c.text, "acuracy"); len(problems) != want {
				t.Errorf("%q: one mistake, %d problems: %v", c.text, len(problems), codesOf(problems))
			}
		})
	}
}

func codesOf(problems Problems) []string {
	var out []string
	for _, p := range problems {
		out = append(out, fmt.Sprintf("%s at %d:%d: %s (%s)", p.Code, p.Line, p.Col, p.Message, p.Hint))
	}
	return out
}

func TestConditionEval(t *testing.T) {
	errGone := errors.New("gone")
	find := func(r Reading) (any, error) {
		switch {
		case r.Kind == ReadSuccess:
			return false, nil
		case r.Kind == ReadFailure:
			return true, nil
		case r.Kind == ReadOutcome && r.Collected:
			return []string{"succeeded", "failed"}, nil
		case r.Kind == ReadOutcome:
			return "skipped", nil
		case r.Collected:
			return []float64{2.5, 1.5}, nil
		case r.Name == "accuracy":
			return nil, errGone
		}
		return 2.31, nil
	}
	for _, c := range []struct {
		text  string
		want  bool
		shown string
		err   string
	}{
		{"stages.a.metrics.loss < 2", false, "loss was 2.31", ""},
		{"stages.a.metrics.loss < 2 or params.on", true, "loss was 2.31, params.on was true", ""},
		{"params.on or stages.a.metrics.accuracy > 1", true, "params.on was true", ""},
		{"stages.a.metrics.accuracy > 1", false, "", "gone"},
		{`"failed" in stages.train.outcome and min(stages.train.metrics.loss) < 2`, true, `the outcome of train was ["succeeded", "failed"], loss was [2.5, 1.5]`, ""},
		{`stages["a-b"].outcome == "skipped" and params["my-p"] == matrix.s`, true, `the outcome of a-b was "skipped", params["my-p"] was 1, matrix.s was 1`, ""},
		{"success()", false, "success() was false", ""},
		{"always() and not success() and failure()", true, "success() was false, failure() was true", ""},
		{"params.n == 3.0 and params.n in 1..5 and 0 < params.n < 4", true, "params.n was 3", ""},
		{"round(mean(stages.train.metrics.loss)) == 2 ? true : false", true, "loss was [2.5, 1.5]", ""},
		{`params.name matches "^x$" && upper(params.name) == "X"`, true, `params.name was "x"`, ""},
		{"1 % (params.n - 3) == 0", false, "params.n was 3", "divide"},
		{"params.n in 1..(params.n * 100000)", false, "params.n was 3", "memory budget"},
		{"stages.a.metrics.loss != stages[\"a-b\"].metrics.loss", false, `stages.a.metrics.loss was 2.31, stages["a-b"].metrics.loss was 2.31`, ""},
	} {
		t.Run(c.text, func(t *testing.T) {
			w, problems := parseCondition(t, "when", c.text)
			if problems != nil {
				t.Fatal(codesOf(problems))
			}
			for _, n := range w.Nodes {
				if n.ID != "b[s=1]" {
					continue
				}
				got, found, err := n.Condition.Eval(n.Matrix, find)
				if got != c.want || Shown(found) != c.shown || (err == nil) != (c.err == "") || err != nil && !strings.Contains(err.Error(), c.err) {
					t.Errorf("%v, %q, %v; want %v, %q, %s", got, Shown(found), err, c.want, c.shown, c.err)
				}
			}
		})
	}
}

// What an absent metric does is up to the condition.
func TestConditionAbsentMetric(t *testing.T) {
	none := func(Reading) (any, error) { return nil, nil }
	for text, want := range map[string]string{
		"stages.a.metrics.loss < 2":          "error",
		"(stages.a.metrics.loss ?? 0) < 2":   "true",
		"stages.a.metrics.loss == nil":       "true",
		"stages.a.metrics.loss != 2":         "error",
		"nil != stages.a.metrics.loss":       "false",
		"abs(stages.a.metrics.loss) < 1":     "error",
		"min(stages.a.metrics.loss, 1) == 1": "error",
	} {
		w, problems := parseCondition(t, "when", text)
		if problems != nil {
			t.Errorf("%s: %v", text, codesOf(problems))
			continue
		}
		n := w.Nodes[len(w.Nodes)-1]
		got, _, err := n.Condition.Eval(n.Matrix, none)
		if text := fmt.Sprint(got); err != nil && want != "error" || err == nil && text != want {
			t.Errorf("%s: %v %v, want %s", text, got, err, want)
		}
	}
}

// What YAML takes for a tag or for the end of a text says how to write it.
func TestConditionThatNeedsQuotes(t *testing.T) {
	for _, when := range []string{`!failure()`, `"failed" in stages.a.outcome`} {
		for _, file := range []string{"stages:\n  a:\n    uses: x\n    when: " + when + "\n", "stages: {a: {uses: x, when: " + when + "}}\n"} {
			_, err := Parse("w.yaml", []byte("version: 1\n"+file), Options{})
			problems, _ := err.(Problems)
			if len(problems) != 1 || !strings.Contains(problems[0].Hint, "quoted as a whole") {
				t.Errorf("%s: %v", file, codesOf(problems))
			}
		}
	}
}
