package engine

import (
	"context"
	"encoding/json"
	"fmt"

	"github.com/so8t/so8t/plugins"
	"github.com/so8t/so8t/state"
)

// Action is what a plan means to do with an instance.
type Action string

const (
	ActionRun     Action = "run"
	ActionReuse   Action = "reuse"
	ActionSkip    Action = "skip"
	ActionBlocked Action = "blocked"
)

// Plan says what a run would do, and why. It is made by the code that a run uses; a run
// decides again only about what waited for another stage.
type Plan struct {
	Workflow *Workflow
	// Stages in the order in which they are considered.
	Stages []PlannedStage
	// Problems are what the checks of the stages that would run found.
	Problems []StageProblem

	nodes     []*node
	decisions []decision
	reports   map[string]plugins.CheckReport
	selection selection
	paths     pathDigests
	rerun     *rerunRequest
	pinned    map[string]pin
}

// pin is what an instance left in an earlier run.
type pin struct {
	entry   state.CacheEntry
	skipped bool
}

func (p pin) decision() decision {
	if p.skipped {
		return decision{action: ActionSkip, reason: "skipped in run " + p.entry.Run}
	}
	// It is the work of this fingerprint, whatever would be made now.
	return decision{action: ActionReuse, reason: "as recorded in run " + p.entry.Run, entry: p.entry,
		identity: identity{fingerprint: p.entry.Fingerprint}}
}

// PlannedStage is one instance of a plan.
type PlannedStage struct {
	Stage    string
	Instance string
	Action   Action
	Reason   string
	Changes  []Change
	// FromRun holds the outputs that are reused.
	FromRun string
	// Cause is the stage because of which it is blocked.
	Cause string
	// Needs are the instances this one depends on.
	Needs []string
}

// decision is a planned stage with what a run needs to act on it.
type decision struct {
	action   Action
	reason   string
	changes  []Change
	cause    string // instance
	identity identity
	entry    state.CacheEntry // of a reused one
	facts    map[string]string
	// with is what a reused one was made with, when that is not what its node has.
	with json.RawMessage
}

// planner makes a plan in rounds: each decides about every node with what is known, then looks
// at what that decision rests on: outputs on disk, and the facts that stages state in Check.
type planner struct {
	e         *Engine
	nodes     []*node
	index     map[string]*node // by instance
	selection selection
	// pinned instances are taken from a run as it recorded them, whatever their fingerprint.
	pinned map[string]pin
	// previous are the parts of each instance's last success.
	previous map[string]state.LatestParts
	// reports of Check; until there is one, an instance's facts are taken to be the previous ones.
	reports map[string]plugins.CheckReport
	damaged map[string]string // instance → what is wrong with the outputs it could reuse
	sound   map[string]bool   // fingerprints whose outputs verified
	paths   pathDigests
}

// Plan decides what a run of w would do.
func (e *Engine) Plan(ctx context.Context, w *Workflow, s Selection) (*Plan, error) {
	nodes, err := buildNodes(w)
	if err != nil {
		return nil, err
	}
	selected, err := newSelection(nodes, s)
	if err != nil {
		return nil, err
	}
	return e.plan(ctx, w, nodes, selected, nil)
}

func (e *Engine) plan(ctx context.Context, w *Workflow, nodes []*node, selected selection, pinned map[string]pin) (*Plan, error) {
	p := &planner{
		e: e, nodes: nodes, index: byInstance(nodes), selection: selected, pinned: pinned, previous: map[string]state.LatestParts{},
		reports: map[string]plugins.CheckReport{}, damaged: map[string]string{}, sound: map[string]bool{},
	}
	decisions, err := p.decideAll(ctx, w.Name)
	if err != nil {
		return nil, err
	}
	plan := &Plan{Workflow: w, nodes: nodes, decisions: decisions, reports: p.reports, selection: selected, paths: p.paths, pinned: pinned}
	for i, d := range decisions {
		plan.Stages = append(plan.Stages, p.planned(nodes[i], d))
	}
	plan.Problems = p.problems(decisions)
	return plan, nil
}

func (p *planner) planned(n *node, d decision) PlannedStage {
	return PlannedStage{
		Stage: n.stage, Instance: n.instance, Action: d.action, Reason: d.reason, Changes: d.changes,
		FromRun: d.entry.Run, Cause: d.cause, Needs: instances(p.nodes, n.needs),
	}
}

// decideAll runs rounds until nothing new comes out. Each round adds to reports or damaged,
// which only grow, so it ends.
func (p *planner) decideAll(ctx context.Context, workflow string) ([]decision, error) {
	if err := p.loadPrevious(ctx, workflow); err != nil {
		return nil, err
	}
	for {
		decisions, err := p.round(ctx)
		if err != nil {
			return nil, err
		}
		news, err := p.verify(ctx, decisions)
		if err != nil {
			return nil, err
		}
		if news {
			continue
		}
		if news, err = p.check(ctx, decisions); err != nil {
			return nil, err
		}
		if !news {
			return decisions, nil
		}
	}
}

func (p *planner) loadPrevious(ctx context.Context, workflow string) error {
	return p.e.store.View(ctx, func(tx *state.Tx) error {
		for _, n := range p.nodes {
			parts, ok, err := tx.LatestParts(workflow, n.instance)
			if err != nil {
				return err
			}
			if ok {
				p.previous[n.instance] = parts
			}
		}
		return nil
	})
}

// facts are those that the stage stated, or did the last time it was done.
func (p *planner) facts(n *node) map[string]string {
	if report, ok := p.reports[n.instance]; ok {
		return report.Facts
	}
	return previousFacts(p.previous[n.instance].Parts)
}

// round decides about every node, each after those it depends on. No file is read in the
// transaction.
func (p *planner) round(ctx context.Context) ([]decision, error) {
	if err := p.digestPaths(ctx); err != nil {
		return nil, err
	}
	decisions := make([]decision, len(p.nodes))
	find := p.lookup(decisions)
	err := p.e.store.View(ctx, func(tx *state.Tx) error {
		for _, n := range p.nodes {
			facts := p.facts(n)
			id, err := n.identify(p.e.opts.ProjectDir, find, p.paths.digest, facts)
			if err != nil {
				return err
			}
			d, err := p.decide(tx, n, id, decisions)
			if err != nil {
				return fmt.Errorf("planning stage %q: %w", n.instance, err)
			}
			if d.identity.fingerprint == "" { // that of a frozen or pinned one is what it was
				d.identity = id
			}
			d.facts = facts
			p.shareParts(n, &d)
			decisions[n.index] = d
		}
		return nil
	})
	return decisions, err
}

// digestPaths digests every path of the user that is an input, once.
func (p *planner) digestPaths(ctx context.Context) error {
	if p.paths != nil {
		return nil
	}
	p.paths = pathDigests{}
	return p.e.digestInputs(ctx, p.paths, p.nodes...)
}

// shareParts keeps the parts of a fingerprint once, of which the records that were read have copies: of
// thousands of instances they are a large part of the memory.
func (p *planner) shareParts(n *node, d *decision) {
	if d.entry.Fingerprint == d.identity.fingerprint && len(d.entry.Parts) > 0 {
		d.entry.Parts = d.identity.parts
	}
	if previous, ok := p.previous[n.instance]; ok && previous.Fingerprint == d.identity.fingerprint {
		previous.Parts = d.identity.parts
		p.previous[n.instance] = previous
	}
}

// lookup answers with the outputs of what is reused.
func (p *planner) lookup(decisions []decision) lookup {
	return func(ref outputRef) upstream {
		n := p.index[ref.instance]
		if n == nil {
			return upstream{state: absent}
		}
		d := decisions[n.index]
		switch d.action {
		case ActionReuse:
			return p.e.output(d.entry.Outputs, ref.output)
		case ActionSkip:
			if _, pinned := p.pinned[n.instance]; pinned || p.selection.selected(n) {
				return upstream{state: absent}
			}
			// Left out by the selection: what it would make is not known, not nothing.
		}
		return upstream{state: pending}
	}
}

// output finds one output among records.
func (e *Engine) output(outputs map[string]state.OutputRecord, name string) upstream {
	o, ok := outputs[name]
	if !ok {
		return upstream{state: absent}
	}
	return upstream{state: ready, path: e.inState(o.Path), digest: o.SHA256}
}

// decide is the decision about one node, all before it being decided.
func (p *planner) decide(tx *state.Tx, n *node, id identity, decisions []decision) (decision, error) {
	if pin, ok := p.pinned[n.instance]; ok && p.damaged[n.instance] == "" {
		return pin.decision(), nil
	}
	selected := p.selection.selected(n)
	if n.frozen {
		return p.frozen(tx, n, id, selected)
	}
	if d, ok := p.byNeeds(n, decisions, selected); ok {
		return d, nil
	}
	said := ""
	if n.condition != nil && selected {
		var d decision
		var decided bool
		if d, said, decided = p.byWhen(n, decisions); decided {
			return d, nil
		}
	}
	forced := selected && p.selection.forced(n)
	if open := p.openOutcomes(n, decisions); len(open) > 0 && selected && !forced {
		return decision{action: ActionRun, reason: waitsText(open)}, nil
	}
	if id.fingerprint != "" && !forced && p.damaged[n.instance] == "" {
		if d, found, err := p.done(tx, n, id, selected, said); err != nil || found {
			return d, err
		}
	}
	if !selected {
		return decision{action: ActionSkip, reason: "not selected"}, nil
	}
	d := decision{action: ActionRun}
	d.changes = id.diff(p.previous[n.instance].Parts)
	if _, ran := p.previous[n.instance]; !ran {
		d.changes = nil
	}
	var err error
	d.reason, err = p.reason(tx, n, id, d.changes, forced)
	d.reason = and(d.reason, said)
	return d, err
}

// done is the decision about a node whose work is done, as it is asked for or as it had to be adjusted.
func (p *planner) done(tx *state.Tx, n *node, id identity, selected bool, said string) (decision, bool, error) {
	entry, found, err := tx.Cache(id.fingerprint)
	if err != nil {
		return decision{}, false, err
	}
	if found {
		return n.judged(entry, selected, said), true, nil
	}
	adjusted, err := n.adjustedBefore(tx, id.fingerprint, p.previous[n.instance])
	if err != nil || adjusted == nil {
		return decision{}, false, err
	}
	d := n.judged(adjusted.entry, selected, and(adjusted.how, said))
	if d.action == ActionReuse {
		d.identity, d.with = entryIdentity(adjusted.entry, id), adjusted.with
	}
	return d, true, nil
}

// lossText says what became of the outputs that a stage had.
func (p *planner) lossText(n *node) string {
	if p.damaged[n.instance] == "" {
		return ""
	}
	return " (" + p.damaged[n.instance] + ")"
}

// openOutcomes are the stages of whose ends n is told, as facts, and that have yet to end.
func (p *planner) openOutcomes(n *node, decisions []decision) []string {
	if !n.asksEnds() {
		return nil
	}
	var open []string
	for _, i := range n.needs {
		if decisions[i].action != ActionReuse {
			open = append(open, p.nodes[i].instance)
		}
	}
	return open
}

// byNeeds decides what follows from the nodes that n depends on alone.
func (p *planner) byNeeds(n *node, decisions []decision, selected bool) (decision, bool) {
	for _, i := range n.needs {
		need, d := p.nodes[i], decisions[i]
		switch {
		case selected && d.action == ActionBlocked && !n.asksEnds():
			return decision{action: ActionBlocked, cause: d.cause, reason: "blocked by stage " + d.cause}, true
		case selected && d.action == ActionSkip && !p.selection.selected(need) && !n.asksEnds():
			return decision{action: ActionBlocked, cause: need.instance,
				reason: fmt.Sprintf("needs stage %s, which is not selected and has nothing to reuse%s", need.instance, p.lossText(need))}, true
		}
	}
	if n.when == whenFailure {
		return decision{action: ActionSkip, reason: "runs only when a stage it depends on fails"}, true
	}
	return decision{}, false
}

// reason says why n runs.
func (p *planner) reason(tx *state.Tx, n *node, id identity, changes []Change, forced bool) (string, error) {
	switch {
	case forced:
		return forcedText(changes), nil
	case p.damaged[n.instance] != "":
		return p.damaged[n.instance], nil
	case len(changes) > 0:
		return changesText(changes), nil
	case len(id.waits) > 0:
		return waitsText(id.waits), nil
	}
	return unfinishedReason(tx, id.fingerprint, p.previous[n.instance])
}
