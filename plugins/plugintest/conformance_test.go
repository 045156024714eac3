//go:build unix

package plugintest_test

import (
	"context"
	"crypto/rand"
	"encoding/json"
	"errors"
	"fmt"
	"iter"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/so8t/so8t/plugins"
	"github.com/so8t/so8t/plugins/host"
	"github.com/so8t/so8t/plugins/plugintest"
	"github.com/so8t/so8t/plugins/sdk"
)

const roleKey = "SO8T_TEST_ROLE"

func TestMain(m *testing.M) {
	var err error
	switch role := os.Getenv(roleKey); role {
	case "":
		os.Exit(m.Run())
	case "good":
		err = sdk.ServeEvaluator(good{})
	case "plain":
		err = sdk.Serve(plain{})
	case "needy":
		err = sdk.Serve(needy{})
	case "sleeper":
		fmt.Println("ready")
		<-time.After(10 * time.Minute) // it is ended by the suite
	default:
		err = sdk.Serve(broken{role})
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
	if len(results) != 7 {
		t.Errorf("%d checks", len(results))
	}
	for _, r := range results {
		if !r.OK || r.Message != "" {
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
		last := results[len(results)-1].Message
		if applies := !strings.Contains(last, "does not apply"); applies != (role == "plain") {
			t.Errorf("%s: %q", role, last)
		}
	}
}

// broken is an evaluator with one fault, which its name says.
type broken struct{ fault string }

// faults are what a broken evaluator can do wrong, and what the suite says about it.
var faults = []struct{ fault, check, message string }{
	{"exits", "starts", "exit status 3"},
	{"moody", "starts", "differently"},
	{"badname", "description", `"Bad Name"`},
	{"badschema", "description", "no property of the schema"},
	{"nopredictions", "description", "required parameter predictions"},
	{"outside-output", "description", "not below the output folder"},
	{"credulous", "bad parameters", "Run succeeds"},
	{"confused", "bad parameters", "internal instead of bad_input"},
	{"lazy", "runs", `output "scores" is missing`},
	{"undeclared", "runs", `metric "surprise"`},
	{"mute", "runs", "at least one metric"},
	{"backwards", "runs", "progress went back from 9 to 3"},
	{"overshoots", "runs", "progress is 9 of 5"},
	{"litters", "runs", "outside its folders"},
	{"stray", "runs", `"stray.txt" is part of no declared output`},
	{"crashes", "runs", "exit status 2"},
	{"random", "same input", "declare it volatile"},
	{"deaf", "stops", "asked to stop, it took"},
	{"parent", "runs", "left 1 process"},
}

func TestRun_BrokenEvaluator_FailsSayingWhy(t *testing.T) {
	for _, f := range faults {
		t.Run(f.fault, func(t *testing.T) {
			t.Parallel()
			results := plugintest.Run(t.Context(), self(f.fault), t.TempDir())
			for _, r := range results {
				if r.OK {
					continue
				}
				if !strings.Contains(r.Name, f.check) || !strings.Contains(r.Message, f.message) {
					t.Errorf("the first failure is not %q with %q:\n%s", f.check, f.message, report(results))
				}
				return
			}
			t.Errorf("it passed:\n%s", report(results))
		})
	}
}

var described int

func (b broken) Describe() plugins.Description {
	described++
	d := plugins.Description{
		Name: "broken", Kind: plugins.KindEvaluator,
		With: plugins.SchemaOf(struct {
			Predictions string `json:"predictions" format:"path" required:"true"`
		}{}),
		Outputs: []plugins.Output{{Name: "scores"}}, Metrics: []plugins.MetricSpec{{Name: "right"}},
	}
	switch b.fault {
	case "exits":
		os.Exit(3)
	case "moody":
		d.Version = fmt.Sprint(described)
	case "badname":
		d.Name = "Bad Name"
	case "badschema":
		d.With = json.RawMessage(`{"type":"object","required":["predictions","x"],"properties":{"predictions":{"format":"path"}}}`)
	case "nopredictions":
		d.With = plugins.SchemaOf(struct{}{})
	case "outside-output":
		d.Outputs[0].Path = "../scores"
	}
	return d
}

func (broken) Check(context.Context, plugins.CheckRequest) (plugins.CheckReport, error) {
	return plugins.CheckReport{}, nil
}

func (b broken) Run(ctx context.Context, a *plugins.Attempt) (plugins.Result, error) {
	var with struct{ Predictions string }
	if err := json.Unmarshal(a.With, &with); err != nil {
		return plugins.Result{}, err
	}
	if _, err := os.Stat(with.Predictions); err != nil && b.fault != "credulous" {
		if b.fault == "confused" {
			err = errors.New("something went wrong")
		}
		return plugins.Result{}, err
	}
	scores, result := "1\n", plugins.Result{Metrics: map[string]float64{"right": 1}}
	err := b.misbehave(ctx, a, &scores, &result)
	if scores != "" {
		err = errors.Join(err, os.WriteFile(filepath.Join(a.OutputDir, "scores"), []byte(scores), 0o644))
	}
	return result, err
}

func (b broken) misbehave(ctx context.Context, a *plugins.Attempt, scores *string, result *plugins.Result) error {
	switch b.fault {
	case "lazy":
		*scores = ""
	case "undeclared":
		result.Metrics["surprise"] = 1
	case "mute":
		result.Metrics = nil
	case "backwards":
		a.Progress(9, 10, "row")
		a.Progress(3, 10, "row")
	case "overshoots":
		a.Progress(9, 5, "row")
	case "litters":
		return os.WriteFile(filepath.Join(a.ProjectDir, "litter"), nil, 0o644)
	case "stray":
		return os.WriteFile(filepath.Join(a.OutputDir, "stray.txt"), []byte("x"), 0o644)
	case "crashes":
		panic("oh no")
	case "random":
		*scores = rand.Text()
	case "deaf":
		// Only when asked to stop: that comes right at the start of the run.
		if filepath.Base(filepath.Dir(a.OutputDir)) == "stop" {
			<-time.After(10 * time.Minute)
		}
	case "parent":
		cmd := exec.Command(os.Args[0])
		cmd.Env = append(os.Environ(), roleKey+"=sleeper")
		cmd.SysProcAttr = &syscall.SysProcAttr{Setsid: true}
		out, err := cmd.StdoutPipe()
		if err != nil {
			return err
		}
		if err := cmd.Start(); err != nil {
			return err
		}
		_, err = out.Read(make([]byte, 1)) // it is there
		return err
	}
	return ctx.Err()
}
