package engine

import (
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"fmt"

	"github.com/so8t/so8t/state"
)

// runExtra is what only the engine reads of a run's plan.
type runExtra struct {
	// Plugins maps uses to what identified the plugin.
	Plugins map[string]string `json:"plugins"`
	// Rerun is there when the run repeats a part of another.
	Rerun *rerunRequest `json:"rerun,omitempty"`
	// Hooks are what is run when the run has ended; Secrets are the names of what they must not show.
	Hooks   []hookRecord `json:"hooks,omitempty"`
	Secrets []string     `json:"secrets,omitempty"`
	// Uses maps each stage whose plugin says which direction of a metric is better to the plugin,
	// Better the plugin to its metrics: "higher" or "lower".
	Uses   map[string]string            `json:"uses,omitempty"`
	Better map[string]map[string]string `json:"better,omitempty"`
}

// rerunRequest is what a rerun was asked for, beside the selection. What it takes from the other
// run stands in the stages' records, as cached.
type rerunRequest struct {
	Stage string            `json:"stage"`
	With  map[string]string `json:"with,omitempty"`
}

func (r *run) planRecord() (state.RunPlan, error) {
	w := r.plan.Workflow
	sum := sha256.Sum256(w.source)
	p := state.RunPlan{
		Run: r.id, Source: string(w.source), SourceSHA256: hex.EncodeToString(sum[:]),
		Selectors: r.plan.selection.given.texts(),
	}
	for _, n := range r.nodes {
		p.Order = append(p.Order, n.instance)
	}
	var err error
	if p.Params, err = json.Marshal(w.params); err != nil {
		return p, err
	}
	extra := runExtra{Plugins: map[string]string{}, Rerun: r.plan.rerun, Hooks: hookRecords(w.Hooks), Secrets: w.Secrets}
	for uses, plugin := range w.plugins {
		extra.Plugins[uses] = plugin.identity()
	}
	extra.addDirections(r.nodes, w.plugins)
	p.Extra, err = json.Marshal(extra)
	return p, err
}

// identity is what tells a plugin from a changed one.
func (p *pluginInfo) identity() string {
	if p.digest != "" {
		return digestPrefix + p.digest
	}
	return fmt.Sprintf("%s revision %d", p.description.Name, p.description.Revision)
}

// plannedRecord is the first record of a node: done already when the plan reuses or skips it.
func (r *run) plannedRecord(i int) state.StageRecord {
	n, d := r.nodes[i], r.plan.decisions[i]
	s := state.StageRecord{
		Run: r.id, Instance: n.instance, Stage: n.stage, Epoch: r.epoch, Outcome: state.Pending,
		Reason: d.reason, Changes: stateChanges(d.changes), Needs: instances(r.nodes, n.needs), With: n.withText(),
	}
	if n.matrix != nil {
		s.Matrix, _ = canonical(n.matrix) // scalars always encode
	}
	if d.with != nil {
		s.With = d.with
	}
	switch {
	case d.action == ActionReuse:
		r.setCached(&s, d.entry, d.identity.fingerprint)
		r.results[i] = result{outcome: state.Cached, outputs: d.entry.Outputs, metrics: d.entry.Metrics}
	case d.action == ActionSkip && n.when != whenFailure:
		s.Outcome = state.Skipped
		r.results[i] = result{outcome: state.Skipped}
	}
	return s
}

func (r *run) setCached(s *state.StageRecord, entry state.CacheEntry, fingerprint string) {
	s.Outcome, s.FromRun, s.FromAttempt, s.FromInstance = state.Cached, entry.Run, entry.Attempt, ""
	if entry.Instance != s.Instance {
		s.FromInstance = entry.Instance
	}
	s.Error = nil // of an attempt before
	s.Fingerprint, s.Outputs, s.Metrics = fingerprint, entry.Outputs, entry.Metrics
	s.Ended = r.e.now()
}

// withText writes a node's with as the record keeps it: outputs as references.
func (n *node) withText() json.RawMessage {
	text, err := canonical(withReferences(n.with))
	if err != nil {
		return nil // what the workflow language takes always encodes
	}
	return text
}

func withReferences(v any) any {
	switch v := v.(type) {
	case map[string]any:
		out := make(map[string]any, len(v))
		for name, child := range v {
			out[name] = withReferences(child)
		}
		return out
	case []any:
		out := make([]any, len(v))
		for i, child := range v {
			out[i] = withReferences(child)
		}
		return out
	case outputRef:
		return v.String()
	case concat:
		text := ""
		for _, part := range v {
			text += fmt.Sprint(part)
		}
		return text
	}
	return v
}

func (o outputRef) String() string {
	return fmt.Sprintf("${stages.%s.outputs.%s}", o.instance, o.output)
}
