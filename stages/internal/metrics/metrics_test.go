package metrics

import (
	"encoding/json"
	"fmt"
	"math"
	"os"
	"path/filepath"
	"reflect"
	"sort"
	"strings"
	"testing"
)

type fixture struct {
	Name    string
	Kind    string
	Bins    int
	Labels  []string
	X       []([]any)
	Y       []int
	A, B    []int
	Indices [][]int
	Error   struct {
		Class string
		Row   *int
	}
	Expected map[string]any
}

func fixtures(t *testing.T, pattern string) []fixture {
	t.Helper()
	files, _ := filepath.Glob(filepath.Join("testdata", pattern))
	if len(files) == 0 {
		t.Fatalf("no fixtures match %s", pattern)
	}
	var all []fixture
	for _, file := range files {
		b, err := os.ReadFile(file)
		if err != nil {
			t.Fatal(err)
		}
		var f fixture
		if err := json.Unmarshal(b, &f); err != nil {
			t.Fatalf("%s: %v", file, err)
		}
		f.Name = filepath.Base(file)
		all = append(all, f)
	}
	return all
}

func (f fixture) set() (*Set, error) {
	kind := Logits
	if f.Kind == "probs" {
		kind = Probs
	}
	x := make([][]float64, len(f.X))
	for i, row := range f.X {
		for _, v := range row {
			switch v := v.(type) {
			case float64:
				x[i] = append(x[i], v)
			case string:
				x[i] = append(x[i], map[string]float64{"NaN": math.NaN(), "Infinity": math.Inf(1), "-Infinity": math.Inf(-1)}[v])
			}
		}
	}
	return NewSet(f.Labels, kind, x, f.Y)
}

func TestReport_Fixtures(t *testing.T) {
	for _, f := range fixtures(t, "cases/*.json") {
		t.Run(f.Name, func(t *testing.T) {
			s, err := f.set()
			if err != nil {
				t.Fatal(err)
			}
			equal(t, "", asJSON(t, s.Report(f.Bins)), any(f.Expected), 1e-9)
		})
	}
}

func TestNewSet_RefusesBadRows(t *testing.T) {
	for _, f := range fixtures(t, "errors/*.json") {
		t.Run(f.Name, func(t *testing.T) {
			_, err := f.set()
			e, ok := err.(*InputError)
			row := -1
			if f.Error.Row != nil {
				row = *f.Error.Row
			}
			if !ok || e.Class != f.Error.Class || e.Row != row {
				t.Errorf("got %#v, want class %s at row %d", err, f.Error.Class, row)
			}
		})
	}
}

func TestBootstrap_GivenIndices(t *testing.T) {
	for _, f := range fixtures(t, "bootstrap/bootstrap-indices-*.json") {
		s, err := f.set()
		if err != nil {
			t.Fatal(err)
		}
		equal(t, f.Name, asJSON(t, s.Bootstrap(f.Indices, f.Bins)), any(f.Expected), 1e-9)
	}
}

func TestBootstrap_OwnGenerator(t *testing.T) {
	for _, f := range fixtures(t, "bootstrap/bootstrap-own-rng-*.json") {
		s, err := f.set()
		if err != nil {
			t.Fatal(err)
		}
		got := s.Bootstrap(Resamples(s.N(), 2000, 1), f.Bins)
		for name, want := range f.Expected {
			w := want.(map[string]any)
			for end, value := range map[string]*float64{"lo": got[name].Lo, "hi": got[name].Hi} {
				if math.Abs(*value-w[end].(float64)) > w["tolerance"].(float64) {
					t.Errorf("%s %s: %v, want %v ± %v", name, end, *value, w[end], w["tolerance"])
				}
			}
		}
	}
}

func TestCompare_Fixtures(t *testing.T) {
	for _, f := range fixtures(t, "compare/*.json") {
		equal(t, f.Name, asJSON(t, Compare(f.Labels, f.Y, f.A, f.B, f.Indices)), any(f.Expected), 1e-9)
	}
}

func TestWilson_Fixtures(t *testing.T) {
	var f struct {
		Cases []struct {
			K, N     int
			Interval any
		}
	}
	read(t, "wilson.json", &f)
	for _, c := range f.Cases {
		equal(t, fmt.Sprint(c.K, "/", c.N), asJSON(t, Wilson(c.K, c.N)), c.Interval, 1e-9)
	}
}

func TestLongform_Fixtures(t *testing.T) {
	var f struct {
		Cases []struct {
			Name, Text string
			Expected   map[string]any
		}
	}
	read(t, "longform.json", &f)
	for _, c := range f.Cases {
		got := asJSON(t, MeasureLongform(c.Text)).(map[string]any)
		// Deflate implementations differ in size (README of the fixtures).
		if want, ok := c.Expected["compression_ratio"].(float64); ok {
			if r := got["compression_ratio"].(float64); math.Abs(r-want) > 0.15*want {
				t.Errorf("%s: compression ratio %v, want %v ± 15 %%", c.Name, r, want)
			}
			delete(c.Expected, "compression_ratio")
		}
		equal(t, c.Name, got, any(c.Expected), 1e-9)
	}
}

// A temperature that was planted is found again: labels are drawn from softmax(z/2).
func TestFitTemperature_RecoversAPlantedOne(t *testing.T) {
	const n, planted = 4000, 2.0
	random := Resamples(1_000_003, 1, 7)[0]
	x, y := make([][]float64, n), make([]int, n)
	for i := range x {
		x[i] = make([]float64, 3)
		for k := range x[i] {
			x[i][k] = float64(random[4*i+k])/1_000_003*10 - 5
		}
		u := float64(random[4*i+3]) / 1_000_003
		for k, p := range Softmax(x[i], planted) {
			if u -= p; u < 0 {
				y[i] = k
				break
			}
		}
	}
	s, err := NewSet(Labels, Logits, x, y)
	if err != nil {
		t.Fatal(err)
	}
	if got := s.FitTemperature(DefaultBins); math.Abs(got.T-planted) > 0.1*planted || got.After.NLL > got.Before.NLL {
		t.Errorf("T = %v, want %v ± 10 %%; nll %v → %v", got.T, planted, got.Before.NLL, got.After.NLL)
	}
}

func read(t *testing.T, name string, into any) {
	t.Helper()
	b, err := os.ReadFile(filepath.Join("testdata", name))
	if err != nil {
		t.Fatal(err)
	}
	if err := json.Unmarshal(b, into); err != nil {
		t.Fatal(err)
	}
}

func asJSON(t *testing.T, v any) any {
	t.Helper()
	b, err := json.Marshal(v)
	if err != nil {
		t.Fatal(err)
	}
	var out any
	if err := json.Unmarshal(b, &out); err != nil {
		t.Fatal(err)
	}
	return out
}

// equal compares what is expected with what was got; more keys than expected are fine.
func equal(t *testing.T, path string, got, want any, tolerance float64) {
	t.Helper()
	switch w := want.(type) {
	case map[string]any:
		g, ok := got.(map[string]any)
		if !ok {
			t.Errorf("%s: got %v, want an object", path, got)
			return
		}
		for k, v := range w {
			equal(t, path+"."+k, g[k], v, tolerance)
		}
	case []any:
		g, ok := got.([]any)
		if !ok || len(g) != len(w) {
			t.Errorf("%s: got %v, want %v", path, got, want)
			return
		}
		if strings.HasSuffix(path, "warnings") || strings.HasSuffix(path, "undefined") || strings.HasSuffix(path, "why") {
			sort.Slice(g, func(i, j int) bool { return fmt.Sprint(g[i]) < fmt.Sprint(g[j]) })
			sort.Slice(w, func(i, j int) bool { return fmt.Sprint(w[i]) < fmt.Sprint(w[j]) })
		}
		for i := range w {
			equal(t, fmt.Sprintf("%s[%d]", path, i), g[i], w[i], tolerance)
		}
	case float64:
		if strings.HasSuffix(path, ".T") || strings.Contains(path, "temperature.after") || strings.Contains(path, "bins_after") {
			tolerance = 1e-6 // what follows from T inherits its tolerance
		}
		if g, ok := got.(float64); !ok || math.Abs(g-w) > tolerance*max(1, math.Abs(w)) {
			t.Errorf("%s: got %v, want %v", path, got, want)
		}
	default:
		if !reflect.DeepEqual(got, want) {
			t.Errorf("%s: got %v, want %v", path, got, want)
		}
	}
}
