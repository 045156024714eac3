package engine

import (
	"context"
	"fmt"
	"slices"
	"time"

	"github.com/so8t/so8t/plugins/host"
	"github.com/so8t/so8t/state"
)

// FindRun completes a run's id: a unique part of it, or "" and "latest" for the newest.
func (e *Engine) FindRun(ctx context.Context, name string) (string, error) {
	var id string
	err := e.store.View(ctx, func(tx *state.Tx) error {
		var err error
		id, err = tx.FindRun(name)
		return err
	})
	return id, err
}

// recordedRun is everything the state holds of one run.
type recordedRun struct {
	run      state.Run
	stages   []state.StageRecord
	attempts map[string][]state.Attempt
	alive    bool
	holder   state.Holder
}

func (e *Engine) recordedRun(ctx context.Context, name string) (recordedRun, error) {
	// The lock is asked while no engine can store anything: one that ends its run stores that first,
	// so a run that is recorded as running without an engine is that of a dead one.
	var r recordedRun
	snapshot, err := e.store.ReadRun(ctx, name, func(id string) error {
		var err error
		r.holder, r.alive, err = state.Query(e.store.Dir(), id)
		return err
	})
	r.run, r.stages, r.attempts = snapshot.Run, snapshot.Stages, map[string][]state.Attempt{}
	for _, a := range snapshot.Attempts {
		r.attempts[a.Instance] = append(r.attempts[a.Instance], a)
	}
	return r, err
}

// dead: the run is recorded as running, but its engine is gone.
func (r recordedRun) dead() bool { return r.run.State == state.RunRunning && !r.alive }

// Status shows one run, which name means as for FindRun, also while an engine runs it.
func (e *Engine) Status(ctx context.Context, name string) (*StatusView, error) {
	r, err := e.recordedRun(ctx, name)
	if err != nil {
		return nil, err
	}
	live, err := state.ReadLive(e.store.Dir(), r.run.ID)
	if err != nil {
		live = state.Live{} // progress is a comfort; the records are what counts
	}
	v := &StatusView{
		Run: r.run.ID, Workflow: r.run.Workflow, Parent: r.run.Parent, Note: r.run.Note, State: r.state(),
		Started: timeText(r.run.Started), Ended: timeText(r.run.Ended),
		Engine: EngineView{PID: r.holder.PID, Alive: r.alive, Host: r.holder.Host}, Stages: []StageView{},
	}
	for _, s := range r.stages {
		v.Stages = append(v.Stages, e.stageView(r, s, live.Stages[s.Instance]))
	}
	return v, nil
}

func (r recordedRun) state() string {
	if r.dead() {
		return string(state.RunInterrupted)
	}
	return string(r.run.State)
}

// outcome of a stage or an attempt: nothing runs without an engine.
func (r recordedRun) outcome(o state.Outcome) string {
	if o == state.Running && !r.alive {
		return string(state.Interrupted)
	}
	return string(o)
}

func (e *Engine) stageView(r recordedRun, s state.StageRecord, live state.LiveStage) StageView {
	v := StageView{
		Stage: s.Stage, Instance: s.Instance, Outcome: r.outcome(s.Outcome), Reason: s.Reason, FromRun: s.FromRun,
		Cause: s.Cause, Needs: append([]string{}, s.Needs...), Attempts: []AttemptView{}, Outputs: e.outputViews(s.Outputs), Metrics: map[string]float64{},
		Error: failureOf(s.Error),
	}
	for name, value := range s.Metrics {
		v.Metrics[name] = value
	}
	if len(s.Matrix) > 0 {
		v.Matrix, _ = decodeJSON(s.Matrix).(map[string]any)
	}
	for _, a := range r.attempts[s.Instance] {
		av := AttemptView{
			Attempt: a.Number, Outcome: r.outcome(a.Outcome), Started: timeText(a.Started), Ended: timeText(a.Ended),
			Error: failureOf(a.Error), ResumedFrom: resumePoint(a.ResumedFrom), Adjusted: a.Adjusted, Usage: usageOf(a),
		}
		if n := len(a.Checkpoints); n > 0 {
			av.Checkpoint = &CheckpointView{Step: a.Checkpoints[n-1].Step, Path: e.relative(e.inState(a.Checkpoints[n-1].Path))}
		}
		if live.Attempt == a.Number && a.Outcome != state.Succeeded {
			av.Progress = &ProgressView{Done: live.Done, Total: live.Total, Unit: live.Unit, Message: live.Message}
		}
		if a.Outcome == state.Running && r.alive && a.Process != nil {
			if u, ok := host.RunningUsage(hostRecord(*a.Process)); ok {
				av.Usage = usageView(u)
			}
		}
		v.Attempts = append(v.Attempts, av)
	}
	return v
}

func (e *Engine) outputViews(outputs map[string]state.OutputRecord) map[string]OutputView {
	views := map[string]OutputView{}
	for name, o := range outputs {
		views[name] = OutputView{Path: e.relative(e.inState(o.Path)), SHA256: o.SHA256, Bytes: o.Bytes, MediaType: o.MediaType, Volatile: o.Volatile}
	}
	return views
}

// timeText is RFC 3339 in UTC, "" for no time.
func timeText(t time.Time) string {
	if t.IsZero() {
		return ""
	}
	return t.UTC().Format("2006-01-02T15:04:05.000Z07:00")
}

// RunsFilter narrows the list of runs; zero fields do not.
type RunsFilter struct {
	Workflow string
	State    string
	Limit    int
}

// Runs lists runs, newest first.
func (e *Engine) Runs(ctx context.Context, filter RunsFilter) (*RunsView, error) {
	runs, err := e.runs(ctx)
	if err != nil {
		return nil, err
	}
	view := &RunsView{Runs: []RunView{}}
	for _, run := range runs {
		if filter.Workflow != "" && run.Workflow != filter.Workflow {
			continue
		}
		if filter.Limit > 0 && len(view.Runs) == filter.Limit {
			break
		}
		r, err := e.listed(ctx, run)
		if err != nil {
			return nil, err
		}
		if filter.State != "" && r.state() != filter.State {
			continue
		}
		v, err := e.runView(ctx, r)
		if err != nil {
			return nil, err
		}
		view.Runs = append(view.Runs, v)
	}
	return view, nil
}

// listed is a run without its stages and attempts. One that is recorded as running is read once more
// after its lock was asked; see recordedRun.
func (e *Engine) listed(ctx context.Context, run state.Run) (recordedRun, error) {
	r := recordedRun{run: run}
	if run.State != state.RunRunning {
		return r, nil
	}
	var err error
	if _, r.alive, err = state.Query(e.store.Dir(), run.ID); err != nil {
		return r, err
	}
	err = e.store.View(ctx, func(tx *state.Tx) error {
		r.run, err = tx.Run(run.ID)
		return err
	})
	return r, err
}

// runView is a line of the list. The stages of a run that its engine has ended were counted then.
func (e *Engine) runView(ctx context.Context, r recordedRun) (RunView, error) {
	v := RunView{Run: r.run.ID, Workflow: r.run.Workflow, State: r.state(), Started: timeText(r.run.Started),
		Ended: timeText(r.run.Ended), Parent: r.run.Parent, Note: r.run.Note, Pinned: r.run.Pinned, Stages: map[string]int{}}
	counts := r.run.Stages
	if counts == nil {
		var err error
		if counts, err = e.store.Outcomes(ctx, r.run.ID); err != nil {
			return v, err
		}
	}
	for outcome, count := range counts {
		v.Stages[r.outcome(outcome)] += count
	}
	return v, nil
}

// Artifacts lists the outputs of a run, also those it reuses.
func (e *Engine) Artifacts(ctx context.Context, id string) (*ArtifactsView, error) {
	status, err := e.Status(ctx, id)
	if err != nil {
		return nil, err
	}
	view := &ArtifactsView{Artifacts: []ArtifactView{}}
	for _, s := range status.Stages {
		for _, name := range sortedKeys(s.Outputs) {
			o := s.Outputs[name]
			view.Artifacts = append(view.Artifacts, ArtifactView{Instance: s.Instance, Output: name, Path: o.Path,
				SHA256: o.SHA256, Bytes: o.Bytes, MediaType: o.MediaType, Volatile: o.Volatile})
		}
	}
	return view, nil
}

// Explain says why a stage of a run ran, was reused, failed, was skipped or blocked. stage is an
// instance, or a stage with a single one.
func (e *Engine) Explain(ctx context.Context, id, stage string) (*PlannedView, error) {
	r, err := e.recordedRun(ctx, id)
	if err != nil {
		return nil, err
	}
	s, err := r.find(stage)
	if err != nil {
		return nil, err
	}
	v := &PlannedView{
		Stage: s.Stage, Instance: s.Instance, Action: actionOf(s.Outcome), Reason: s.Reason, Changes: []Change{},
		FromRun: s.FromRun, Needs: s.Needs, Outcome: r.outcome(s.Outcome), Error: failureOf(s.Error),
	}
	if v.Needs == nil {
		v.Needs = []string{}
	}
	for _, c := range s.Changes {
		v.Changes = append(v.Changes, Change{Field: c.Field, From: orNull(c.From), To: orNull(c.To), Because: c.Because})
	}
	if tries := r.attempts[s.Instance]; len(tries) > 0 {
		v.ResumedFrom = resumePoint(tries[len(tries)-1].ResumedFrom)
	}
	return v, nil
}

func (r recordedRun) noStage(name string) error {
	return fmt.Errorf("%w %q in run %s", ErrNoStage, name, r.run.ID)
}

func (r recordedRun) has(stage string) bool {
	return slices.ContainsFunc(r.stages, func(s state.StageRecord) bool { return s.Instance == stage || s.Stage == stage })
}

func (r recordedRun) find(stage string) (state.StageRecord, error) {
	var found []state.StageRecord
	for _, s := range r.stages {
		if s.Instance == stage {
			return s, nil
		}
		if s.Stage == stage {
			found = append(found, s)
		}
	}
	switch len(found) {
	case 1:
		return found[0], nil
	case 0:
		return state.StageRecord{}, r.noStage(stage)
	}
	return state.StageRecord{}, &SelectionError{fmt.Sprintf("stage %q has %d instances in run %s: name one, as %s", stage, len(found), r.run.ID, found[0].Instance)}
}

func actionOf(o state.Outcome) string {
	switch o {
	case state.Cached:
		return string(ActionReuse)
	case state.Skipped, state.Cancelled:
		return string(ActionSkip)
	case state.Blocked:
		return string(ActionBlocked)
	}
	return string(ActionRun)
}

// View is the plan as `plan --json` shows it.
func (p *Plan) View() *PlanView {
	v := &PlanView{Workflow: p.Workflow.Name, Stages: []PlannedView{}}
	for _, s := range p.Stages {
		pv := PlannedView{Stage: s.Stage, Instance: s.Instance, Action: string(s.Action), Reason: s.Reason,
			Changes: s.Changes, FromRun: s.FromRun, Needs: s.Needs}
		if pv.Changes == nil {
			pv.Changes = []Change{}
		}
		v.Stages = append(v.Stages, pv)
	}
	return v
}

// Would reports whether a run of the plan would do anything.
func (p *Plan) Would() bool {
	for _, s := range p.Stages {
		if s.Action == ActionRun {
			return true
		}
	}
	return false
}
