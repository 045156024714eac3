package state

import (
	"errors"
	"fmt"
	"slices"
)

// Stage returns one instance's record; ErrNotFound when there is none.
func (t *Tx) Stage(run, instance string) (StageRecord, error) {
	var s StageRecord
	key, err := textKey(run, instance)
	if err != nil {
		return s, err
	}
	found, err := t.get(bucketStages, key, &s)
	if err == nil && !found {
		err = fmt.Errorf("stage %q of run %q: %w", instance, run, ErrNotFound)
	}
	return s, err
}

// Stages returns the records of a run in the order of its plan; what the plan does not
// name follows, sorted.
func (t *Tx) Stages(run string) ([]StageRecord, error) {
	prefix, err := prefixKey(run)
	if err != nil {
		return nil, err
	}
	plan, err := t.RunPlan(run)
	if err != nil {
		return nil, err
	}
	var records []StageRecord
	err = t.scan(bucketStages, prefix, func(k, v []byte) error {
		var s StageRecord
		if err := t.decode(bucketStages, k, v, &s); err != nil {
			return err
		}
		records = append(records, s)
		return nil
	})
	inOrder(records, plan.Order)
	return records, err
}

// PutStage stores an instance's record, if its outcome may follow the stored one.
func (t *Tx) PutStage(s StageRecord) error {
	what := "stage " + s.Instance
	if err := t.fenceRun(s.Run, what, s.Epoch); err != nil {
		return err
	}
	old, err := t.Stage(s.Run, s.Instance)
	if err != nil && !errors.Is(err, ErrNotFound) {
		return err
	}
	allowed := stageTransitions[old.Outcome]
	if old.Outcome != "" && old.Epoch < s.Epoch {
		allowed = stageReopen
	}
	if !slices.Contains(allowed, s.Outcome) {
		return transitionError(what, old.Outcome, s.Outcome)
	}
	if err := t.checkReferences(s); err != nil {
		return fmt.Errorf("%s: %w", what, err)
	}
	return t.putStage(s)
}

// checkReferences refuses a stage that reuses what a collection has removed since it was found:
// once the record is committed, no collection removes it.
func (t *Tx) checkReferences(s StageRecord) error {
	if s.Outcome != Cached {
		return nil
	}
	for _, id := range s.references() {
		_, err := t.Run(id)
		if errors.Is(err, ErrNoRun) {
			return fmt.Errorf("run %s, whose outputs it reuses: %w", id, ErrCollected)
		}
		if err != nil {
			return err
		}
	}
	return nil
}

func (t *Tx) putStage(s StageRecord) error {
	key, err := textKey(s.Run, s.Instance)
	if err != nil {
		return err
	}
	return t.putLogged(bucketStages, key, s, s.Run, kindStage, fmt.Sprintf("stage %s %s", s.Instance, s.Outcome))
}
