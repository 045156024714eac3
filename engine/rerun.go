package engine

import (
	"cmp"
	"context"
	"encoding/json"
	"fmt"

	"github.com/so8t/so8t/engine/workflow"
	"github.com/so8t/so8t/state"
)

// RerunOptions say what to repeat.
type RerunOptions struct {
	// With overrides fields: dotted name → value as text.
	With map[string]string
	// Downstream also runs what depends on the stage, where that changes.
	Downstream bool
	Note       string
	Control    *Control
}

// Rerun repeats one stage of a run on that run's recorded inputs, as a new run whose parent it is.
func (e *Engine) Rerun(ctx context.Context, name, stage string, opts RerunOptions) (*Outcome, error) {
	plan, parent, err := e.planRerun(ctx, name, stage, opts)
	if err != nil {
		return nil, err
	}
	return e.Run(ctx, plan, RunOptions{Note: opts.Note, Control: opts.Control, Parent: parent})
}

func (e *Engine) planRerun(ctx context.Context, name, stage string, opts RerunOptions) (*Plan, string, error) {
	var id string
	err := e.store.View(ctx, func(tx *state.Tx) error {
		var err error
		id, err = tx.FindRun(name)
		return err
	})
	if err != nil {
		return nil, "", err
	}
	run, recorded, _, err := e.runPlan(ctx, id)
	if err != nil {
		return nil, "", err
	}
	var params map[string]string
	if err := json.Unmarshal(recorded.Params, &params); err != nil {
		return nil, "", fmt.Errorf("reading the parameters of run %s: %w", id, err)
	}
	w, err := e.parse(ctx, run.File, []byte(recorded.Source), params)
	if err != nil {
		return nil, "", err
	}
	nodes, err := buildNodes(w)
	if err != nil {
		return nil, "", err
	}
	if len(matching(nodes, stage)) == 0 {
		return nil, "", noStage(nodes, stage)
	}
	request := &rerunRequest{Stage: stage, With: opts.With}
	if nodes, err = w.repeated(nodes, request); err != nil {
		return nil, "", err
	}
	selection := Selection{Only: []string{stage}, Force: []string{stage}}
	if opts.Downstream {
		selection.Only, selection.From = nil, []string{stage}
	}
	selected, err := newSelection(nodes, selection)
	if err != nil {
		return nil, "", err
	}
	pins, err := e.pins(ctx, id, nodes, selected)
	if err != nil {
		return nil, "", err
	}
	plan, err := e.plan(ctx, w, nodes, selected, pins)
	if err != nil {
		return nil, "", err
	}
	plan.rerun = request
	return plan, id, nil
}

// repeated are the nodes of a workflow with what a rerun overrides.
func (w *Workflow) repeated(nodes []*node, r *rerunRequest) ([]*node, error) {
	if err := w.override(matching(nodes, r.Stage), r.With); err != nil {
		return nil, err
	}
	return buildNodes(w)
}

// override puts values into the with of the targets. What does not fit the plugin's schema is
// workflow.Problems.
func (w *Workflow) override(targets []*node, values map[string]string) error {
	if len(values) == 0 {
		return nil
	}
	meant := map[string]bool{}
	for _, n := range targets {
		meant[n.instance] = true
	}
	for _, n := range w.Nodes {
		if !meant[n.ID] {
			continue
		}
		with, err := workflow.Override(w.plugins[n.Uses].description.With, n.With, values)
		if err != nil {
			return err
		}
		n.With = with
	}
	return nil
}

// pins are the stages that the repeated ones depend on, as the run recorded them.
func (e *Engine) pins(ctx context.Context, id string, nodes []*node, s selection) (map[string]pin, error) {
	pins := map[string]pin{}
	above := map[int]bool{}
	for _, n := range nodes {
		if s.selected(n) {
			spread(nodes, n, above, func(n *node) []int { return n.needs })
		}
	}
	err := e.store.View(ctx, func(tx *state.Tx) error {
		records, err := tx.Stages(id)
		if err != nil {
			return err
		}
		index := byInstance(nodes)
		for _, r := range records {
			n := index[r.Instance]
			if n == nil || s.selected(n) || !above[n.index] {
				continue
			}
			if p, ok := pinOf(r); ok {
				pins[r.Instance] = p
			}
		}
		return nil
	})
	return pins, err
}

func pinOf(r state.StageRecord) (pin, bool) {
	entry := state.CacheEntry{Fingerprint: r.Fingerprint, Run: r.Run, Instance: r.Instance, Attempt: r.Attempts, Outputs: r.Outputs, Metrics: r.Metrics}
	switch r.Outcome {
	case state.Succeeded:
		return pin{entry: entry}, true
	case state.Cached:
		entry.Run, entry.Attempt, entry.Instance = r.FromRun, r.FromAttempt, cmp.Or(r.FromInstance, r.Instance)
		return pin{entry: entry}, true
	case state.Skipped:
		return pin{entry: entry, skipped: true}, true
	}
	return pin{}, false
}
