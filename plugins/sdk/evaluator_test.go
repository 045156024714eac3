package sdk

import (
	"context"
	"encoding/json"
	"errors"
	"iter"
	"math"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"testing"

	"github.com/so8t/so8t/plugins"
	"github.com/so8t/so8t/plugins/manifest"
)

type lengthConfig struct {
	Least int `json:"least" default:"3" min:"0" help:"characters"`
}

// length scores outputs by their length; its fields bend it for tests.
type length struct {
	ignoresErrors bool
	metrics       map[string]float64
}

func (length) Info() EvaluatorInfo {
	return EvaluatorInfo{
		Name: "length", Version: "1", Config: lengthConfig{},
		Metrics: []plugins.MetricSpec{{Name: "long_enough", Better: "higher"}},
	}
}

func (l length) Evaluate(_ context.Context, rows iter.Seq2[Row, error], config json.RawMessage) (Evaluation, error) {
	var c lengthConfig
	if err := plugins.DecodeWith(config, &c); err != nil {
		return Evaluation{}, err
	}
	var e Evaluation
	good := 0.0
	for row, err := range rows {
		if err != nil && !l.ignoresErrors {
			return e, err
		}
		s := 0.0
		if len([]rune(row.Output)) >= c.Least {
			s = 1
		}
		good += s
		e.Scores = append(e.Scores, Score{ID: row.ID, Model: row.Model, Score: s})
	}
	e.Metrics = map[string]float64{"long_enough": good / float64(len(e.Scores))}
	if l.metrics != nil {
		e.Metrics = l.metrics
	}
	return e, nil
}

const predictions = `{"id":"1","output":"はい。","model":"tuned","probs":{"ALLOW":0.5},"new_field":[1]}

{"id":"2","output":"い","model":"tuned"}
`

func withFile(t *testing.T, text, rest string) json.RawMessage {
	t.Helper()
	path := filepath.Join(t.TempDir(), "predictions.jsonl")
	if err := put(path, text); err != nil {
		t.Fatal(err)
	}
	b, _ := json.Marshal(path)
	return json.RawMessage(`{"predictions":` + string(b) + rest + `}`)
}

func TestEvaluator_Describe(t *testing.T) {
	d := newServed(evaluatorStage{length{}}, nil).Describe()
	want := `{"additionalProperties":false,"properties":{` +
		`"least":{"default":3,"description":"characters","minimum":0,"type":"integer"},` +
		`"predictions":{"description":"predictions of the eval stage: JSON lines","format":"path","type":"string","x-so8t-media-type":"application/jsonl"}},` +
		`"required":["predictions"],"type":"object"}`
	if string(d.With) != want || d.Kind != plugins.KindEvaluator || d.BuildID == "" {
		t.Errorf("described %+v\nschema %s", d, d.With)
	}
}

func TestEvaluator_Run(t *testing.T) {
	a := attemptOf(t, t.TempDir())
	a.With = withFile(t, predictions, "")
	var last plugins.Event
	a.Emit = func(e plugins.Event) { last = e }
	r, err := newServed(evaluatorStage{length{}}, nil).Run(t.Context(), a)
	if err != nil || r.Metrics["long_enough"] != 0.5 {
		t.Fatalf("got %+v, %v", r, err)
	}
	b, err := os.ReadFile(filepath.Join(a.OutputDir, "scores.jsonl"))
	want := "{\"id\":\"1\",\"model\":\"tuned\",\"score\":1}\n{\"id\":\"2\",\"model\":\"tuned\",\"score\":0}\n"
	if err != nil || string(b) != want {
		t.Errorf("scores %s, %v", b, err)
	}
	if p, ok := last.(plugins.Progress); !ok || p.Done != p.Total {
		t.Errorf("last event %+v", last)
	}
	if _, err := manifest.VerifyOutputs(a.OutputDir, manifest.Contents); err != nil {
		t.Error(err)
	}
}

// whole measures the rows together and scores none of them.
type whole struct{ length }

func (w whole) Evaluate(ctx context.Context, rows iter.Seq2[Row, error], config json.RawMessage) (Evaluation, error) {
	e, err := w.length.Evaluate(ctx, rows, config)
	e.Scores = nil
	return e, err
}

func TestEvaluator_WithoutScores(t *testing.T) {
	a := attemptOf(t, t.TempDir())
	a.With = withFile(t, predictions, "")
	if r, err := newServed(evaluatorStage{whole{}}, nil).Run(t.Context(), a); err != nil || r.Metrics["long_enough"] != 0.5 {
		t.Fatalf("got %+v, %v", r, err)
	}
	m, err := manifest.VerifyOutputs(a.OutputDir, manifest.Contents)
	if err != nil {
		t.Fatal(err)
	}
	if _, ok := m.Output("metrics"); !ok || len(m.Outputs) != 1 {
		t.Errorf("outputs %+v", m.Outputs)
	}
}

func TestEvaluator_Problems(t *testing.T) {
	for _, c := range []struct {
		name string
		e    length
		with json.RawMessage
		code plugins.Code
		want string
	}{
		{"no predictions", length{}, json.RawMessage(`{}`), plugins.BadInput, "predictions is required"},
		{"no file", length{}, json.RawMessage(`{"predictions":"/no/such"}`), plugins.BadInput, "/no/such"},
		{"a folder", length{}, json.RawMessage(`{"predictions":"/"}`), plugins.BadInput, "not a file"},
		{"wrong type", length{}, json.RawMessage(`{"predictions":1}`), plugins.BadInput, "predictions"},
		{"unknown parameter", length{}, withFile(t, predictions, `,"lest":1`), plugins.BadInput, "lest"},
		{"no row", length{}, withFile(t, "\n\n", ""), plugins.BadInput, "no row"},
		{"broken row", length{}, withFile(t, predictions+"{\"id\":\n", ""), plugins.BadInput, "predictions.jsonl:4:"},
		{"broken row, ignored", length{ignoresErrors: true}, withFile(t, predictions+"oh", ""), plugins.BadInput, "predictions.jsonl:4:"},
		{"undeclared metric", length{metrics: map[string]float64{"x": 1}}, withFile(t, predictions, ""), plugins.Internal, `"x"`},
		{"no number", length{metrics: map[string]float64{"long_enough": math.NaN()}}, withFile(t, predictions, ""), plugins.Internal, "NaN"},
	} {
		t.Run(c.name, func(t *testing.T) {
			a := attemptOf(t, t.TempDir())
			a.With = c.with
			_, err := newServed(evaluatorStage{c.e}, nil).Run(t.Context(), a)
			if plugins.CodeOf(err) != c.code || !strings.Contains(err.Error(), c.want) {
				t.Errorf("got %s: %v", plugins.CodeOf(err), err)
			}
		})
	}
}

func TestEvaluator_Check(t *testing.T) {
	s := newServed(evaluatorStage{length{}}, nil)
	for with, problems := range map[string]int{
		`{"predictions":""}`: 1, `{"predictions":"/no/such"}`: 1, `{"predictions":` + strconv.Quote(os.Args[0]) + `}`: 0, `{"least":"x"}`: 1,
	} {
		r, err := s.Check(t.Context(), plugins.CheckRequest{With: json.RawMessage(with)})
		if err != nil || len(r.Problems) != problems {
			t.Errorf("%s: %+v, %v", with, r, err)
		}
	}
	r, err := s.Check(t.Context(), plugins.CheckRequest{With: json.RawMessage(`{"predictions":""}`), Pending: []string{"predictions"}})
	if err != nil || len(r.Problems) != 0 {
		t.Errorf("pending: %+v, %v", r, err)
	}
}

func TestEvaluator_Stopped(t *testing.T) {
	a := attemptOf(t, t.TempDir())
	a.With = withFile(t, strings.Repeat(`{"id":"1"}`+"\n", 3*progressEvery), "")
	stop := make(chan struct{})
	close(stop)
	a.Stop = stop
	ctx, cancel := a.UntilStopped(t.Context())
	defer cancel()
	<-ctx.Done() // the stage's own context ends the same way
	rows := &rowReader{ctx: ctx, path: mustPath(t, a.With), attempt: a}
	n := 0
	for _, err := range rows.all {
		n++
		if err != nil && !errors.Is(err, context.Canceled) {
			t.Fatal(err)
		}
	}
	if n > progressEvery+1 || !errors.Is(rows.err, context.Canceled) {
		t.Errorf("%d rows, then %v", n, rows.err)
	}
}

func mustPath(t *testing.T, with json.RawMessage) string {
	t.Helper()
	path, _, err := split(with)
	if err != nil {
		t.Fatal(err)
	}
	return path
}

func TestServe_ByHand(t *testing.T) {
	t.Setenv("SO8T_PLUGIN", "")
	if err := ServeEvaluator(length{}); !errors.Is(err, ErrByHand) {
		t.Errorf("got %v", err)
	}
}
