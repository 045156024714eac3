package engine

import (
	"bytes"
	"context"
	"encoding/json"
	"maps"
	"slices"
	"strings"

	"github.com/so8t/so8t/engine/workflow"
	"github.com/so8t/so8t/state"
)

// DiffView is what differs between two runs: `diff --json`. What one of them lacks is null.
type DiffView struct {
	A         string         `json:"a"`
	B         string         `json:"b"`
	WorkflowA string         `json:"workflow_a"`
	WorkflowB string         `json:"workflow_b"`
	Stages    []OutcomeDiff  `json:"stages"`
	Params    []ValueDiff    `json:"params"`
	Inputs    []ValueDiff    `json:"inputs"`
	Metrics   []MetricDiff   `json:"metrics"`
	Artifacts []ArtifactDiff `json:"artifacts"`
}

// Same reports whether nothing differs that a run's user decides or gets.
func (d *DiffView) Same() bool {
	return len(d.Stages)+len(d.Params)+len(d.Inputs)+len(d.Metrics)+len(d.Artifacts) == 0
}

// OutcomeDiff is a stage that ended another way, or is not in both runs.
type OutcomeDiff struct {
	Instance string `json:"instance"`
	A        string `json:"a"`
	B        string `json:"b"`
}

// ValueDiff is a parameter of the workflow ("seed") or of a stage ("train.with.lora.r"), or the
// digest of an input ("train.input.dataset").
type ValueDiff struct {
	Field string          `json:"field"`
	A     json.RawMessage `json:"a"`
	B     json.RawMessage `json:"b"`
}

// MetricDiff is a metric with another value. Better is "a" or "b" when the plugin says which
// direction is, else "".
type MetricDiff struct {
	Instance string `json:"instance"`
	Metric   string `json:"metric"`
	A        any    `json:"a"`
	B        any    `json:"b"`
	Better   string `json:"better"`
}

// ArtifactDiff is an output with other bytes; A and B are digests, "" for none. Volatile ones
// always differ.
type ArtifactDiff struct {
	Instance string `json:"instance"`
	Output   string `json:"output"`
	A        string `json:"a"`
	B        string `json:"b"`
	Volatile bool   `json:"volatile,omitempty"`
}

// comparedRun is a run as Diff looks at it.
type comparedRun struct {
	recordedRun
	plan  state.RunPlan
	extra runExtra
	parts map[string][]state.Part // by instance
}

// Diff compares two runs.
func (e *Engine) Diff(ctx context.Context, a, b string) (*DiffView, error) {
	was, err := e.comparedRun(ctx, a)
	if err != nil {
		return nil, err
	}
	is, err := e.comparedRun(ctx, b)
	if err != nil {
		return nil, err
	}
	d := &DiffView{A: was.run.ID, B: is.run.ID, WorkflowA: was.run.Workflow, WorkflowB: is.run.Workflow, Stages: []OutcomeDiff{}, Params: []ValueDiff{}, Inputs: []ValueDiff{},
		Metrics: []MetricDiff{}, Artifacts: []ArtifactDiff{}}
	d.Params = append(d.Params, diffValues("", e.paramsOf(was), e.paramsOf(is))...)
	var explained []ValueDiff
	if was.plan.SourceSHA256 == is.plan.SourceSHA256 && was.extra.Rerun == nil && is.extra.Rerun == nil {
		explained = d.Params // nothing else can have changed a value so
	}
	for _, pair := range pairs(was.stages, is.stages) {
		d.stage(was, is, pair[0], pair[1], explained)
	}
	return d, nil
}

func (e *Engine) comparedRun(ctx context.Context, id string) (comparedRun, error) {
	r, err := e.recordedRun(ctx, id)
	c := comparedRun{recordedRun: r, parts: map[string][]state.Part{}}
	if err != nil {
		return c, err
	}
	err = e.store.View(ctx, func(tx *state.Tx) error {
		if c.plan, err = tx.RunPlan(id); err != nil {
			return err
		}
		for _, s := range c.stages {
			c.parts[s.Instance] = withParts(s.With)
			if s.Fingerprint == "" { // it was skipped, or never got so far
				continue
			}
			entry, found, err := tx.Cache(s.Fingerprint)
			if err != nil {
				return err
			}
			if found {
				c.parts[s.Instance] = entry.Parts
			}
		}
		return nil
	})
	if err == nil {
		err = json.Unmarshal(c.plan.Extra, &c.extra)
	}
	return c, err
}

// withParts are the parameters of a stage that has not got as far as to be fingerprinted.
func withParts(with json.RawMessage) []state.Part {
	var parts []state.Part
	var walk func(field string, v any)
	walk = func(field string, v any) {
		if m, ok := v.(map[string]any); ok {
			for _, name := range sortedKeys(m) {
				walk(field+"."+name, m[name])
			}
			return
		}
		if text, isText := v.(string); isText && strings.HasPrefix(text, outputReference) {
			return // it would be known by its content
		}
		if text, err := canonical(v); err == nil {
			parts = append(parts, state.Part{Field: field, Value: text})
		}
	}
	if len(with) > 0 {
		walk("with", decodeJSON(with))
	}
	return parts
}

const outputReference = "${stages."

// paramsOf are the parameters of a run's workflow with their values: as the workflow's text says,
// or as they were given when the text can no longer be read.
func (e *Engine) paramsOf(r comparedRun) map[string]json.RawMessage {
	var given map[string]string
	_ = json.Unmarshal(r.plan.Params, &given) // none are given: nil
	values := map[string]json.RawMessage{}
	w, err := workflow.Parse(r.run.File, []byte(r.plan.Source), workflow.Options{
		Root: e.opts.ProjectDir, Params: given,
		Describe: func(string) (*workflow.PluginSpec, error) { return nil, nil },
	})
	if err != nil {
		for name, value := range given {
			values[name] = text(value)
		}
		return values
	}
	for _, p := range w.Params {
		if v, err := canonical(p.Value); err == nil {
			values[p.Name] = v
		}
	}
	return values
}

// diffValues lists the names with different values, sorted.
func diffValues(prefix string, a, b map[string]json.RawMessage) []ValueDiff {
	var diffs []ValueDiff
	names := maps.Clone(a)
	if names == nil {
		names = map[string]json.RawMessage{}
	}
	maps.Copy(names, b)
	for _, name := range slices.SortedFunc(maps.Keys(names), compareFields) {
		if !bytes.Equal(a[name], b[name]) {
			diffs = append(diffs, ValueDiff{Field: prefix + name, A: orNull(a[name]), B: orNull(b[name])})
		}
	}
	return diffs
}

// pairs matches the instances of two runs, in the order of the second, then of the first. What a
// run lacks is the zero record.
func pairs(a, b []state.StageRecord) [][2]state.StageRecord {
	was := map[string]state.StageRecord{}
	for _, s := range a {
		was[s.Instance] = s
	}
	var found [][2]state.StageRecord
	for _, s := range b {
		found = append(found, [2]state.StageRecord{was[s.Instance], s})
		delete(was, s.Instance)
	}
	for _, s := range a {
		if _, left := was[s.Instance]; left {
			found = append(found, [2]state.StageRecord{s, {}})
		}
	}
	return found
}

// stage adds what differs of one instance.
func (d *DiffView) stage(was, is comparedRun, a, b state.StageRecord, explained []ValueDiff) {
	instance := b.Instance
	if instance == "" {
		instance = a.Instance
	}
	if x, y := outcomeIn(was, a), outcomeIn(is, b); done(x) != done(y) || !done(x) && x != y {
		d.Stages = append(d.Stages, OutcomeDiff{Instance: instance, A: x, B: y})
	}
	if a.Instance != "" && b.Instance != "" {
		d.values(instance, a, b, diffValues(instance+".", partValues(was.parts[instance]), partValues(is.parts[instance])), explained)
	}
	stage := b.Stage
	if stage == "" {
		stage = a.Stage
	}
	d.metrics(instance, a.Metrics, b.Metrics, is.extra.directions(stage))
	d.artifacts(instance, a.Outputs, b.Outputs)
}

// done: whether the outputs were made in this run or an earlier one is no difference.
func done(outcome string) bool {
	return outcome == string(state.Succeeded) || outcome == string(state.Cached)
}

func outcomeIn(r comparedRun, s state.StageRecord) string {
	if s.Instance == "" {
		return ""
	}
	return r.outcome(s.Outcome)
}

// values adds the parameters and inputs of a stage that differ; those that a parameter of the
// workflow explains, and inputs that another stage made, are told there.
func (d *DiffView) values(instance string, a, b state.StageRecord, diffs, explained []ValueDiff) {
	for _, v := range diffs {
		field := strings.TrimPrefix(v.Field, instance+".")
		input, isInput := strings.CutPrefix(field, "input.")
		switch {
		case isInput && (madeByStage(a.With, input) || madeByStage(b.With, input)):
		case isInput:
			d.Inputs = append(d.Inputs, v)
		case slices.ContainsFunc(explained, func(p ValueDiff) bool { return bytes.Equal(p.A, v.A) && bytes.Equal(p.B, v.B) }):
		default:
			d.Params = append(d.Params, v)
		}
	}
}

func partValues(parts []state.Part) map[string]json.RawMessage {
	values := map[string]json.RawMessage{}
	for _, p := range parts {
		values[p.Field] = p.Value
	}
	return values
}

// madeByStage says whether a field of a recorded with refers to an output.
func madeByStage(with json.RawMessage, field string) bool {
	v := decodeJSON(with)
	for name := range strings.SplitSeq(field, ".") {
		switch x := v.(type) {
		case map[string]any:
			v = x[name]
		case []any: // a list's items are not told apart
			return bytes.Contains(with, []byte(outputReference))
		}
	}
	text, isText := v.(string)
	return isText && strings.Contains(text, outputReference)
}

func (d *DiffView) metrics(instance string, a, b state.Metrics, directions map[string]string) {
	names := maps.Clone(a)
	if names == nil {
		names = state.Metrics{}
	}
	maps.Copy(names, b)
	for _, name := range sortedKeys(names) {
		x, inA := a[name]
		y, inB := b[name]
		if inA == inB && x == y {
			continue
		}
		m := MetricDiff{Instance: instance, Metric: name}
		if inA {
			m.A = finite(x)
		}
		if inB {
			m.B = finite(y)
		}
		if m.A != nil && m.B != nil {
			m.Better = better(directions[name], x, y)
		}
		d.Metrics = append(d.Metrics, m)
	}
}

func better(direction string, a, b float64) string {
	switch {
	case direction == "higher" && a > b, direction == "lower" && a < b:
		return "a"
	case direction == "higher" && b > a, direction == "lower" && b < a:
		return "b"
	}
	return ""
}

func (d *DiffView) artifacts(instance string, a, b map[string]state.OutputRecord) {
	names := maps.Clone(a)
	if names == nil {
		names = map[string]state.OutputRecord{}
	}
	maps.Copy(names, b)
	for _, name := range sortedKeys(names) {
		if x, y := a[name], b[name]; x.SHA256 != y.SHA256 {
			d.Artifacts = append(d.Artifacts, ArtifactDiff{Instance: instance, Output: name, A: x.SHA256, B: y.SHA256,
				Volatile: names[name].Volatile})
		}
	}
}

// directions say of the metrics of a stage which direction is better.
func (x runExtra) directions(stage string) map[string]string { return x.Better[x.Uses[stage]] }

// addDirections adds those of the plugins of a run.
func (x *runExtra) addDirections(nodes []*node, plugins map[string]*pluginInfo) {
	x.Uses, x.Better = map[string]string{}, map[string]map[string]string{}
	for uses, plugin := range plugins {
		for _, m := range plugin.description.Metrics {
			if m.Better == "" {
				continue
			}
			if x.Better[uses] == nil {
				x.Better[uses] = map[string]string{}
			}
			x.Better[uses][m.Name] = m.Better
		}
	}
	for _, n := range nodes {
		if x.Better[n.uses] != nil {
			x.Uses[n.stage] = n.uses
		}
	}
}
