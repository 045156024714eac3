package broken

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"path/filepath"

	"github.com/so8t/so8t/plugins"
	"github.com/so8t/so8t/plugins/sdk"
)

// RoleKey is the variable by which a test binary that calls Serve is told what it is.
const RoleKey = "SO8T_TEST_BROKEN"

// Serve serves the plugin with one fault; with the name of none it is as it should be.
func Serve(fault string) error {
	if fault == child {
		return linger()
	}
	return sdk.Serve(&plugin{fault: fault})
}

// plugin is an evaluator that gives every row the same score.
type plugin struct {
	fault     string
	described int
}

// config is its parameters.
type config struct {
	Predictions string `json:"predictions" format:"path" required:"true"`
	Limit       int    `json:"limit" default:"0"`
}

// Describe implements plugins.Stage.
func (p *plugin) Describe() plugins.Description {
	p.described++
	d := plugins.Description{
		Name: "broken", Kind: plugins.KindEvaluator, With: plugins.SchemaOf(config{}), Checkpoints: true,
		Outputs: []plugins.Output{{Name: "scores"}}, Metrics: []plugins.MetricSpec{{Name: "right"}},
	}
	switch p.fault {
	case "exits":
		os.Exit(3)
	case "hangs":
		select {}
	case "moody":
		d.Version = fmt.Sprint(p.described)
	case "badname":
		d.Name = "Bad Name"
	case "badschema":
		d.With = json.RawMessage(`{"type":"object","required":["predictions","x"],"properties":{"predictions":{"type":"string","format":"path"}}}`)
	case "baddefault":
		d.With = json.RawMessage(`{"type":"object","required":["predictions"],"properties":{
			"predictions":{"type":"string","format":"path"},"limit":{"type":"integer","default":"many"}}}`)
	case "nopredictions":
		d.With = plugins.SchemaOf(struct{}{})
	case "outside-output":
		d.Outputs[0].Path = "../scores"
	}
	return d
}

// Check implements plugins.Stage.
func (p *plugin) Check(_ context.Context, req plugins.CheckRequest) (plugins.CheckReport, error) {
	if p.fault == "writes-in-check" {
		return plugins.CheckReport{}, os.WriteFile(filepath.Join(req.ProjectDir, "checked"), nil, 0o644)
	}
	return plugins.CheckReport{}, nil
}

// Run implements plugins.Stage.
func (p *plugin) Run(ctx context.Context, a *plugins.Attempt) (plugins.Result, error) {
	var c config
	if err := json.Unmarshal(a.With, &c); err != nil {
		return plugins.Result{}, err
	}
	if _, err := os.Stat(c.Predictions); err != nil && p.fault != "credulous" {
		if p.fault == "confused" {
			err = errors.New("something went wrong")
		}
		return plugins.Result{}, err
	}
	r := run{attempt: a, predictions: c.Predictions, scores: "1\n", metrics: map[string]float64{"right": 1}}
	if err := r.checkpoint(ctx, p.fault); err != nil {
		return plugins.Result{}, err
	}
	err := misbehave(&r, p.fault)
	if r.scores != "" {
		err = errors.Join(err, os.WriteFile(filepath.Join(a.OutputDir, "scores"), []byte(r.scores), 0o644))
	}
	return plugins.Result{Metrics: r.metrics}, err
}

// run is one attempt, with what it is about to leave.
type run struct {
	attempt     *plugins.Attempt
	predictions string
	scores      string
	metrics     map[string]float64
}

// checkpoint saves one, as a good plugin does, and stops there when it is asked to.
func (r *run) checkpoint(ctx context.Context, fault string) error {
	a := r.attempt
	if a.Resume != nil {
		if fault == "forgetful" {
			r.scores = "2\n"
		}
		return nil
	}
	if fault == "deaf" || fault == "sulks" {
		return nil
	}
	place := filepath.Join(a.CheckpointDir, "step-1")
	switch fault {
	case "bare-checkpoint":
	case "stray-checkpoint":
		place = filepath.Join(a.ScratchDir, "step-1")
	default:
		return a.SaveCheckpoint(ctx, 1, func(dir string) error { return os.WriteFile(filepath.Join(dir, "state"), []byte("1"), 0o644) })
	}
	if err := os.MkdirAll(place, 0o755); err != nil {
		return err
	}
	a.Report(plugins.Saved{Checkpoint: plugins.Checkpoint{Step: 1, Path: place}})
	return nil
}
