package modeltool

import (
	"encoding/json"
	"errors"
	"fmt"
	"math"
	"path/filepath"
	"reflect"
	"sort"
	"strings"
	"testing"

	"github.com/so8t/so8t/plugins"
)

const metricsData = "../internal/metrics/testdata"

type metricsFixture struct {
	Kind     string
	Bins     int
	Labels   []string
	X        [][]any
	Y        []int
	Error    struct{ Row *int }
	Expected map[string]any
}

// rows writes a fixture as the lines that score reads.
func (f metricsFixture) rows(t *testing.T) string {
	t.Helper()
	var b strings.Builder
	for i, x := range f.X {
		row := map[string]any{f.Kind: x}
		if i < len(f.Y) {
			row["label"] = fmt.Sprint(f.Y[i])
			if y := f.Y[i]; y >= 0 && y < len(f.Labels) {
				row["label"] = f.Labels[y]
			}
		}
		line, err := json.Marshal(row)
		if err != nil {
			t.Fatal(err)
		}
		fmt.Fprintf(&b, "%s\n", line)
	}
	return b.String()
}

func fixtureFiles(t *testing.T, pattern string) []string {
	t.Helper()
	files, err := filepath.Glob(filepath.Join(metricsData, pattern))
	if err != nil || len(files) == 0 {
		t.Fatalf("%s: %v, %d files", pattern, err, len(files))
	}
	return files
}

func TestScore_EqualsScikitLearn(t *testing.T) {
	for _, file := range fixtureFiles(t, "cases/*.json") {
		var f metricsFixture
		read(t, file, &f)
		var got any
		parse(t, must(t, f.rows(t), "score", "-", "--bins", fmt.Sprint(f.Bins), "--resamples", "3", "--json"), &got)
		compare(t, filepath.Base(file), got, f.Expected)
	}
}

func TestScore_BadRowsAreNamed(t *testing.T) {
	for _, file := range fixtureFiles(t, "errors/*.json") {
		var f metricsFixture
		read(t, file, &f)
		_, _, err := call(t, f.rows(t), "score", "-")
		var typed *plugins.Error
		if !errors.As(err, &typed) || typed.Code != plugins.BadInput {
			t.Errorf("%s: %v, want bad input", file, err)
		} else if f.Error.Row != nil && !strings.Contains(err.Error(), fmt.Sprintf("standard input:%d: ", *f.Error.Row+1)) {
			t.Errorf("%s: %v does not name row %d", file, err, *f.Error.Row)
		}
	}
	const good = `{"label":"DENY","logits":[1,2,3]}`
	for bad, want := range map[string]string{
		`{"label":"DENY","logits":[1,2,null]}`:                   "value 3 is null",
		`{"label":"DENY","logits":[1,2]}`:                        "2 values instead of 3",
		`{"label":"DENY","logits":"x"}`:                          "want a list of numbers",
		`{"label":7,"logits":[1,2,3]}`:                           "want a string",
		`{"label":"NO","logits":[1,2,3]}`:                        `"NO"`,
		`{"logits":[1,2,3]}`:                                     `"label" is missing`,
		`{"label":"DENY"}`:                                       "neither",
		`{"label":"DENY","logits":[1,2,3],"probs":[0,0,1]}`:      "both",
		`{"label":"DENY","probs":[0,0,1]}`:                       "in one file",
		`[1,2,3]`:                                                "want an object",
		`{"label":"DENY","logits":[1,2,3]`:                       "no JSON object",
		`{"label":"DENY","logits":[1,2,3]} {"label":"a"}`:        "no JSON object",
		`{"label":"DENY","logits":[1,2,1e999]}`:                  "1e999",
		`{"label":"DENY","logits":[1,2,NaN]}`:                    "no JSON object",
		"{\"label\":\"DENY\",\"logits\":[1,2,3]}\x00":            "no JSON object",
		`{"label":"DENY","logits":[1,2,3],"logits":[1,2,"3"]}`:   "want a list of numbers",
		`{"label":"DENY","logits":{"ALLOW":1,"ESCALATION":0.5}}`: "want a list of numbers",
	} {
		_, _, err := call(t, good+"\n\n"+bad+"\n"+good, "score", "-")
		if err == nil || !strings.Contains(err.Error(), "standard input:3: ") || !strings.Contains(err.Error(), want) {
			t.Errorf("%s: %v, want line 3 and %q", bad, err, want)
		}
	}
}

// With a generator of its own the intervals agree within what 2,000 resamples leave open.
func TestScore_Intervals(t *testing.T) {
	for _, file := range fixtureFiles(t, "bootstrap/bootstrap-own-rng-*.json") {
		var f metricsFixture
		read(t, file, &f)
		var got struct {
			Resamples int
			Bootstrap map[string]map[string]float64
		}
		parse(t, must(t, f.rows(t), "score", "-", "--bins", fmt.Sprint(f.Bins), "--json"), &got)
		if got.Resamples != 2000 || len(f.Expected) == 0 {
			t.Errorf("%d resamples, %d intervals expected", got.Resamples, len(f.Expected))
		}
		for name, want := range f.Expected {
			w := want.(map[string]any)
			for _, end := range []string{"lo", "hi"} {
				if d := math.Abs(got.Bootstrap[name][end] - w[end].(float64)); d > w["tolerance"].(float64) {
					t.Errorf("%s %s: %v, want %v ± %v", name, end, got.Bootstrap[name][end], w[end], w["tolerance"])
				}
			}
		}
	}
}

func TestScore_OtherLabels(t *testing.T) {
	in := "\ufeff" + `{"label":"yes","probs":[0.9,0.1]}` + "\r\n" + `{"label":"no","probs":[0.8,0.2],"id":7}`
	var got struct {
		Labels   []string
		Accuracy float64
		Rate     *float64 `json:"false_allow_rate"`
	}
	parse(t, must(t, in, "score", "-", "--labels", "yes, no", "--json"), &got)
	if got.Accuracy != 0.5 || got.Rate == nil || *got.Rate != 1 || fmt.Sprint(got.Labels) != "[yes no]" {
		t.Errorf("%+v", got)
	}
}

func TestScore_Table(t *testing.T) {
	out := must(t, `{"label":"ALLOW","logits":[1,0,0]}`, "score", "-")
	for _, want := range []string{"accuracy", "1.0000", "false_allow_rate", "undefined", "0 of 0", "TRUE \\ PREDICTED", "1 rows", "label-absent:DENY"} {
		if !strings.Contains(out, want) {
			t.Errorf("%q is missing in\n%s", want, out)
		}
	}
}

// compare wants everything in want to be in got: numbers within 1e-9, what follows from the
// fitted temperature within 1e-6.
func compare(t *testing.T, path string, got, want any) {
	t.Helper()
	switch w := want.(type) {
	case map[string]any:
		g, _ := got.(map[string]any)
		for key, value := range w {
			compare(t, path+"."+key, g[key], value)
		}
	case []any:
		g, _ := got.([]any)
		if len(g) != len(w) {
			t.Errorf("%s: %v, want %v", path, got, want)
			return
		}
		if strings.HasSuffix(path, "warnings") || strings.HasSuffix(path, "undefined") { // sets
			for _, list := range [][]any{g, w} {
				sort.Slice(list, func(i, j int) bool { return fmt.Sprint(list[i]) < fmt.Sprint(list[j]) })
			}
		}
		for i := range w {
			compare(t, fmt.Sprintf("%s[%d]", path, i), g[i], w[i])
		}
	case float64:
		tolerance := 1e-9
		if strings.Contains(path, ".temperature.") {
			tolerance = 1e-6
		}
		if g, ok := got.(float64); !ok || math.Abs(g-w) > tolerance*max(1, math.Abs(w)) {
			t.Errorf("%s: %v, want %v", path, got, want)
		}
	default:
		if !reflect.DeepEqual(got, want) {
			t.Errorf("%s: %v, want %v", path, got, want)
		}
	}
}
