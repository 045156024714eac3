//go:build unix

package plugintest_test

import (
	"context"
	"encoding/json"
	"fmt"
	"iter"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/so8t/so8t/plugins"
	"github.com/so8t/so8t/plugins/examples/broken"
	"github.com/so8t/so8t/plugins/host"
	"github.com/so8t/so8t/plugins/plugintest"
	"github.com/so8t/so8t/plugins/sdk"
)

const roleKey = "SO8T_TEST_ROLE"

func TestMain(m *testing.M) {
	var err error
	role := os.Getenv(roleKey)
	fault := os.Getenv(broken.RoleKey)
	switch {
	case fault != "":
		err = broken.Serve(fault)
	case role == "":
		os.Exit(m.Run())
	case role == "good":
		err = sdk.ServeEvaluator(good{})
	case role == "plain":
		err = sdk.Serve(plain{})
	case role == "needy":
		err = sdk.Serve(needy{})
	case role == "lister":
		err = sdk.Serve(lister{})
	}
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
}

func self(role string) host.Command {
	return host.Command{Path: os.Args[0], Env: map[string]string{roleKey: role}}
}

// good is an evaluator as it should be.
type good struct{}

func (good) Info() sdk.EvaluatorInfo {
	return sdk.EvaluatorInfo{Name: "good", Version: "1", Metrics: []plugins.MetricSpec{{Name: "right", Better: "higher"}}}
}

func (good) Evaluate(_ context.Context, rows iter.Seq2[sdk.Row, error], _ json.RawMessage) (sdk.Evaluation, error) {
	var e sdk.Evaluation
	right := 0.0
	for row, err := range rows {
		if err != nil {
			return e, err
		}
		score := 0.0
		if row.Predicted == row.Label {
			score = 1
		}
		right += score
		e.Scores = append(e.Scores, sdk.Score{ID: row.ID, Model: row.Model, Score: score})
	}
	e.Metrics = map[string]float64{"right": right / float64(len(e.Scores))}
	return e, nil
}

func report(results []plugintest.Result) string {
	var b strings.Builder
	for _, r := range results {
		fmt.Fprintf(&b, "%-45s %v %s\n", r.Name, r.OK, r.Message)
	}
	return b.String()
}

func TestRun_GoodEvaluator_Passes(t *testing.T) {
	results := plugintest.Run(t.Context(), self("good"), t.TempDir())
	if len(results) != 9 {
		t.Errorf("%d checks", len(results))
	}
	for _, r := range results {
		if !r.OK || r.Message != "" && !strings.Contains(r.Name, "checkpoint") {
			t.Errorf("the suite is wrong:\n%s", report(results))
			break
		}
	}
}

// plain is a stage without parameters.
type plain struct{}

func (plain) Describe() plugins.Description {
	return plugins.Description{
		Name: "plain", Kind: plugins.KindStage, With: plugins.SchemaOf(struct{}{}), Outputs: []plugins.Output{{Name: "out"}},
	}
}

func (plain) Check(_ context.Context, r plugins.CheckRequest) (plugins.CheckReport, error) {
	if err := plugins.DecodeWith(r.With, &struct{}{}); err != nil {
		return plugins.CheckReport{}, err
	}
	return plugins.CheckReport{}, nil
}

func (plain) Run(_ context.Context, a *plugins.Attempt) (plugins.Result, error) {
	return plugins.Result{}, os.WriteFile(filepath.Join(a.OutputDir, "out"), []byte("x"), 0o644)
}

// needy is a stage for which the suite has no input.
type needy struct{ plain }

func (n needy) Describe() plugins.Description {
	d := n.plain.Describe()
	d.With = plugins.SchemaOf(struct {
		Base string `json:"base" format:"path" required:"true"`
	}{})
	return d
}

func (needy) Check(context.Context, plugins.CheckRequest) (plugins.CheckReport, error) {
	return plugins.CheckReport{Problems: []plugins.Problem{{Field: "base", Code: plugins.BadInput, Message: "not there"}}}, nil
}

func TestRun_Stage(t *testing.T) {
	for _, role := range []string{"plain", "needy"} {
		results := plugintest.Run(t.Context(), self(role), t.TempDir())
		for _, r := range results {
			if !r.OK {
				t.Errorf("%s:\n%s", role, report(results))
			}
		}
		if last := lastMessage(results); strings.Contains(last, "not there") != (role == "needy") {
			t.Errorf("%s: %q", role, last)
		}
	}
}

func TestRun_BrokenPlugin_FailsSayingWhy(t *testing.T) {
	for _, f := range broken.Faults {
		t.Run(f.Name, func(t *testing.T) {
			t.Parallel()
			c := host.Command{Path: os.Args[0], Env: map[string]string{broken.RoleKey: f.Name}}
			var opts []plugintest.Option
			if f.Name == "hangs" {
				opts = append(opts, plugintest.CallTimeout(5*time.Second))
			}
			results := plugintest.Run(t.Context(), c, t.TempDir(), opts...)
			for _, r := range results {
				if r.OK {
					continue
				}
				if !strings.Contains(r.Name, f.Check) || !strings.Contains(r.Message, f.Says) {
					t.Errorf("the first failure is not %q with %q:\n%s", f.Check, f.Says, report(results))
				}
				return
			}
			t.Errorf("it passed:\n%s", report(results))
		})
	}
}

// Without a fault the same plugin passes, so each failure above is its fault's.
func TestRun_NothingBroken_Passes(t *testing.T) {
	c := host.Command{Path: os.Args[0], Env: map[string]string{broken.RoleKey: "nothing"}}
	results := plugintest.Run(t.Context(), c, t.TempDir())
	for _, r := range results {
		if !r.OK || r.Message != "" {
			t.Fatalf("the suite is wrong:\n%s", report(results))
		}
	}
}

// lister is a stage that needs a list, which no suite can know.
type lister struct{ plain }

func (l lister) Describe() plugins.Description {
	d := l.plain.Describe()
	d.With = plugins.SchemaOf(struct {
		Names []string `json:"names" required:"true"`
	}{})
	return d
}

func (lister) Check(context.Context, plugins.CheckRequest) (plugins.CheckReport, error) {
	return plugins.CheckReport{}, nil
}

func TestRun_With_GivesWhatTheSuiteCannotKnow(t *testing.T) {
	if last := lastMessage(plugintest.Run(t.Context(), self("lister"), t.TempDir())); !strings.Contains(last, "parameter(s) names; give them with --with") {
		t.Errorf("without: %q", last)
	}
	results := plugintest.Run(t.Context(), self("lister"), t.TempDir(), plugintest.With(map[string]any{"names": []string{"a"}}))
	if len(results) < 8 || !results[3].OK || results[3].Message != "" {
		t.Errorf("with:\n%s", report(results))
	}
}

func lastMessage(results []plugintest.Result) string { return results[len(results)-1].Message }
